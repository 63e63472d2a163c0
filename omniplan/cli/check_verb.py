"""The verb that reads what people already have and says what is wrong with it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from omniplan import api
from omniplan.cli.output import present, put, show
from omniplan.cli.progress import watched
from omniplan.cli.verbs import Verb, add_build, add_json
from omniplan.documents.text_file import read_utf8
from omniplan.documents.whole_file import write_whole
from omniplan.errors import ExitCode, InputError

if TYPE_CHECKING:
    from omniplan.check.folder import FolderReport
    from omniplan.check.values import CheckReport, Finding


def _declare(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "files", metavar="PATH", nargs="*", help="a script, configuration, build file or log, or a folder"
    )
    command.add_argument("--model", metavar="M", help="the GGUF file that the commands load, instead of the one named")
    command.add_argument("--machine", metavar="M", help="the machine they shall run on: words, a profile or a file")
    command.add_argument("--fix", action="store_true", help="print a unified diff of what can be mended")
    add_build(command, default=None, usual="the one of the image or folder that runs it")
    add_json(command)
    command.add_argument("--format", choices=("text", "json", "github", "sarif"), default="text", help="how it is said")
    command.add_argument("--baseline", metavar="FILE", help="leave out the findings that this file accepts")
    command.add_argument("--write-baseline", metavar="FILE", help="accept all that is found now, in this file")
    command.usage = (
        "omniplan check (PATH ... | -- <command or arguments>) [--model M] [--machine M] [--llama-cpp BUILD]\n"
        "                      [--fix] [--json] [--format F] [--baseline FILE] [--write-baseline FILE]"
    )


def _run(options: argparse.Namespace) -> int:
    if bool(options.files) == bool(options.server_args):
        raise InputError("check: expected a FILE or a folder, or a command or llama-server's arguments after --")
    if len(options.files) > 1 or any(map(os.path.isdir, options.files)):
        return _places(options)
    source = options.files[0] if options.files else options.server_args
    report = api.check(source, model=options.model, machine=options.machine, build=options.llama_cpp)
    if options.baseline:
        from omniplan.check.outputs import accepted_in, without

        report = without(report, accepted_in(read_utf8(options.baseline)))
    if options.fix:
        put(report.diff)
    else:
        _say(report, report.findings, options)
    return ExitCode.of(report.verdict)


def _places(options: argparse.Namespace) -> int:
    """Several files, or folders."""
    accepted = read_utf8(options.baseline) if options.baseline else None
    with watched() as progress:
        report = api.check_files(
            options.files,
            model=options.model,
            machine=options.machine,
            build=options.llama_cpp,
            baseline=accepted,
            progress=progress,
        )
    if options.fix:
        put("".join(item.diff for item in report.reports))
    else:
        _say(report, report.findings, options)
    return ExitCode.of(report.verdict)


def _say(report: CheckReport | FolderReport, findings: Sequence[Finding], options: argparse.Namespace) -> None:
    from omniplan.check.outputs import baseline, github, sarif
    from omniplan.check.text import check_screen, folder_screen
    from omniplan.check.values import CheckReport

    if options.write_baseline:
        write_whole(Path(options.write_baseline), baseline(findings))
    if options.format == "github":
        put(github(findings))
    elif options.format == "sarif":
        put(sarif(findings))
    elif options.json or options.format == "json":
        show(report.to_json())
    else:
        present(check_screen(report) if isinstance(report, CheckReport) else folder_screen(report), options)


VERBS: Final = (
    Verb(
        name="check",
        help="say what is wrong with arguments, scripts and configuration files",
        declare=_declare,
        run=_run,
        takes_server_args=True,
    ),
)
