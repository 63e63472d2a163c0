"""A check from end to end: read, ask every rule that has what it needs, and put the answers in order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from omniplan.check import document as documents
from omniplan.check import mend
from omniplan.check.case import Case
from omniplan.check.document import Document, File
from omniplan.check.hit import Hit
from omniplan.check.models import Models
from omniplan.check.registry import rules
from omniplan.check.rule import Rule
from omniplan.check.table import CheckRule, Need
from omniplan.check.values import CheckReport, Finding, Severity
from omniplan.domain.footprint import Unpriced
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.errors import OmniplanError
from omniplan.formats.command import Command, Word

_ORDER: Final = list(Severity)
_Found = tuple[Finding, Hit, Case | None]


def check(
    document: Document,
    *,
    model: Model | None,
    machine: Machine | None,
    only: Collection[str] = (),
    build: int | None = None,
) -> CheckReport:
    """All findings about ``document``; ``model`` is the one given for it, ``machine`` the one it shall run on.

    ``only`` names the rules to ask, none for all of them. ``build`` is the llama.cpp that is meant, whatever it says.
    """
    file = _file(document, model, machine, build)
    asked = [rule for rule in rules().values() if not only or rule.row.id in only]
    found = sorted(
        _findings(file, asked), key=lambda item: (item[0].line, _ORDER.index(item[0].severity), item[0].rule)
    )
    return CheckReport(
        file=_text(document.path),
        n_commands=len(file.cases),
        n_models=sum(1 for case in file.cases if case.model is not None),
        machine=machine.name if machine else "",
        findings=tuple(_merged(finding for finding, _, _ in found)),
        fits=_fit(file.cases),
        unpriced=tuple(dict.fromkeys(item for case in file.cases for item in _open(case))),
        mentioned=0 if file.cases else document.mentioned,
        diff=mend.diff(document, list(_harmless(file, found, model))),
    )


def _merged(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings, those of several commands about one place as one."""
    alike: dict[tuple[str, int, str], dict[Finding, None]] = {}
    for finding in findings:
        alike.setdefault((finding.rule, finding.line, finding.message), {})[finding] = None
    for group in alike.values():
        first, count = next(iter(group)), len({finding.command for finding in group})
        yield first if count == 1 else replace(first, command="", places=count)


def _harmless(file: File, found: Iterable[_Found], model: Model | None) -> Iterator[mend.Group]:
    """Edits of what is above info; those of one command only while all of them together make it no worse."""
    mended: dict[int, Case] = {}
    for finding, hit, case in found:
        if finding.severity is Severity.INFO or not hit.edits:
            continue
        if case is None:
            if file.machine is None or _is_file_no_worse(file, file.machine, hit, model):
                yield hit.edits
            continue
        then = replace(case, command=mend.edited(mended.get(id(case), case).command, hit.edits))
        if _is_no_worse(case, then):
            mended[id(case)] = then
            yield hit.edits


def _is_file_no_worse(file: File, machine: Machine, hit: Hit, model: Model | None) -> bool:
    """Whether every command of the file is no worse with the edits of whole lines."""
    text = "".join(mend.relined(file.document.lines, hit.edits))
    document = documents.read(file.document.path, text, file.document.kind)
    build = next((case.given_build for case in file.cases), None)
    return all(map(_is_no_worse, file.cases, _file(document, model, machine, build).cases))


def _is_no_worse(now: Case, then: Case) -> bool:
    """Whether ``then`` fits if ``now`` does, and is not predicted slower; so too where that cannot be computed."""
    if now.model is None or now.machine is None:
        return True
    if now.priced is not None and now.priced.fits and (then.priced is None or then.priced.fits is False):
        return False
    before, after = now.speed(now.settled), then.speed(then.settled)
    return before is None or after is None or after.request_seconds.value <= before.request_seconds.value


def _fit(cases: Iterable[Case]) -> bool | None:
    """Whether every command whose bytes are known fits."""
    found = {case.priced.fits for case in cases if case.priced is not None}
    return False if False in found else None if None in found or not found else True


def _open(case: Case) -> tuple[Unpriced, ...]:
    """What leaves open whether a command fits."""
    return case.priced.unpriced if case.priced is not None and case.priced.fits is None else ()


def _file(document: Document, model: Model | None, machine: Machine | None, build: int | None) -> File:
    models = Models(Path(document.path).parent, model)
    bare = [
        Case(command=command, given_build=build, given_machine=machine, comments=document.comments(command))
        for command in document.commands
    ]
    named = frozenset(case.params.model or "" for case in bare)
    return File(document=document, cases=tuple(_case(case, models, named) for case in bare), machine=machine)


def _case(bare: Case, models: Models, named: frozenset[str]) -> Case:
    """A command with the files that it names, where they are there."""
    found = models.model_of(bare, named)
    case = replace(
        bare,
        model=found if isinstance(found, Model) else None,
        model_problem=found if isinstance(found, OmniplanError) else None,
        companions=tuple(models.companions(bare)),
        adapters=models.adapters(bare),
    )
    # A command is read once: its files change nothing about what it says.
    vars(case)["reading"] = bare.reading
    return case


def _findings(file: File, asked: Iterable[Rule]) -> Iterator[_Found]:
    for rule in asked:
        for hit in rule.of_file(file) if rule.of_file else ():
            yield _finding(rule.row, hit, file.document, None), hit, None
        for case in file.cases if rule.of_command else ():
            if rule.of_command and case.command.tool in rule.row.tools and _has_needed(rule.row, case):
                for hit in rule.of_command(case):
                    yield _finding(rule.row, hit, file.document, case), hit, case


def _has_needed(row: CheckRule, case: Case) -> bool:
    has: dict[Need, Callable[[], object]] = {
        Need.MODEL: lambda: case.model,
        Need.MACHINE: lambda: case.machine,
    }
    holds = row.forks or not case.fork
    return holds and all(has[need]() is not None for need in row.needs if need in has)


def _finding(row: CheckRule, hit: Hit, document: Document, case: Case | None) -> Finding:
    command = case.command if case else None
    return Finding(
        rule=row.id,
        severity=hit.severity or row.severity,
        file=_text(document.path),
        line=_line(hit.at, command),
        command=_text(command.name) if command else "",
        message=_text(hit.message),
        why=row.why,
        source=row.source,
        fix=_text(hit.fix or row.fix),
    )


def _line(at: Word | int | None, command: Command | None) -> int:
    if isinstance(at, Word):
        return max(1, at.line)
    return max(1, at if at is not None else command.line if command else 1)


def _text(text: str) -> str:
    """``text`` on one line that any terminal and any JSON reader takes."""
    printable = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return printable.encode("utf-8", "backslashreplace").decode("utf-8")
