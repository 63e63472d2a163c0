"""Where an answer goes: a file that is written as a whole and never over another one, or standard output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omniplan import api
from omniplan.cli.output import show
from omniplan.documents.text_file import STDIN, read_text
from omniplan.documents.whole_file import write_whole
from omniplan.errors import InputError

if TYPE_CHECKING:
    from omniplan.domain.plan import Plan


def add_output(command: argparse.ArgumentParser, what: str, *, metavar: str = "FILE") -> None:
    """The file to write, and the leave to write over one."""
    command.add_argument("-o", "--output", metavar=metavar, help=what)
    command.add_argument("--force", action="store_true", help="let -o write over a file that is there")


def add_format(command: argparse.ArgumentParser, *, default: str | None) -> None:
    """The file that a plan is written as, and the one it goes into."""
    usual = f" ({default} where nothing is said)" if default else ""
    command.add_argument(
        "--as",
        dest="as_",
        default=default,
        metavar="FORMAT",
        help=f"argv, shell, models.conf, preset, llama-swap, compose, systemd, env or k8s{usual}",
    )
    command.add_argument("--section", metavar="ID", help="name of the section, model or service; default: the model's")
    command.add_argument("--into", metavar="FILE", help="replace or add the section in this file, nothing else")
    command.add_argument("--models-dir", metavar="DIR", help="the folder that a container sees as /models")


def check_output(options: argparse.Namespace) -> None:
    """Refuse before the work what could not be written after it; raises InputError."""
    if report := getattr(options, "report", None):
        from omniplan.report.page import check_report

        check_report(report)
    path = getattr(options, "output", None)
    if path is None or path == STDIN:
        return
    if getattr(options, "into", None):
        raise InputError("--into and -o: give one of them; --into changes a file, -o writes a new one")
    if not Path(path).absolute().parent.is_dir():
        raise InputError(f"-o {path}: there is no such folder; make it first")
    is_kept = Path(path).is_file() and not options.force
    if is_kept:
        raise InputError(f"-o {path}: is there already; add --force to write over it, or name another file")


def deliver(text: str, path: str | None) -> int:
    """Write ``text`` to the file at ``path``, or to standard output for none or ``-``; returns the code of success."""
    if path is None or path == STDIN:
        return show(text)
    write_whole(Path(path), text)
    return 0


def deliver_plan(plan: Plan, options: argparse.Namespace, **more: Any) -> None:
    """Write ``plan`` in the format that ``options`` ask for, where they say; ``more`` goes to ``api.emit``."""
    from omniplan.text.verdict import verdict_line

    into = options.into
    text = api.emit(
        plan,
        format=options.as_,
        section=options.section,
        into=read_text(into) if into and Path(into).exists() else None,
        models_dir=options.models_dir,
        **more,
    )
    if options.as_ == "argv" and plan.environment:
        variables = " ".join(f"{name}={value}" for name, value in plan.environment.items())
        print(f"note: set {variables} for llama-server", file=sys.stderr)
    if missing := verdict_line(plan.footprint.unpriced, fits=plan.footprint.fits):
        print(f"note: {missing}", file=sys.stderr)
    deliver(text, into or options.output)
