"""The verb that opens the page in a browser of this host."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from typing import Final

from omniplan.cli.output import show
from omniplan.cli.verbs import Verb
from omniplan.errors import ExitCode

# One that llama-server, llama-swap and what people run beside them do not take; the same every time, so that what a
# browser keeps of the page is found again.
_PORT: Final = 7117


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--port", type=int, default=_PORT, metavar="N", help=f"where it listens on 127.0.0.1, default {_PORT}; 0: any"
    )


def _run(options: argparse.Namespace) -> int:
    from omniplan.page.server import page_files, page_server

    with page_server(page_files(), options.port) as server:
        url = f"http://{server.server_address[0]!s}:{server.server_address[1]}/"
        show(f"omniplan is at {url} until Ctrl-C")
        if _has_screen():
            _open(url)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return ExitCode.GOOD


def _has_screen() -> bool:
    """Whether somebody looks on, with a browser of their own: not over SSH, not in a pipe."""
    is_drawn = sys.platform in {"win32", "darwin"} or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
    return is_drawn and sys.stdout.isatty()


def _open(url: str) -> None:
    import webbrowser

    webbrowser.open(url)


VERBS: Final = (Verb(name="serve", help="open the planner as a page in the browser", declare=_declare, run=_run),)
