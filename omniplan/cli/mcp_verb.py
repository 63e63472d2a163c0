"""The verb that serves assistants: nothing is printed but the protocol."""

from __future__ import annotations

import argparse
from typing import Final

from omniplan.cli.verbs import Verb
from omniplan.errors import ExitCode


def _declare(_command: argparse.ArgumentParser) -> None:
    """It takes nothing."""


def _run(_options: argparse.Namespace) -> int:
    from omniplan.mcp.server import server

    server().run("stdio")
    return ExitCode.GOOD


VERBS: Final = (
    Verb(name="mcp", help="serve plan, footprint, check and recommend to an assistant", declare=_declare, run=_run),
)
