"""Findings for other programs: annotations of GitHub, SARIF, and a baseline of those that somebody has accepted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, Final

from omniplan.check.table import rows
from omniplan.check.values import CheckReport, Finding, Severity
from omniplan.errors import InputError
from omniplan.version import __version__

_GITHUB: Final[Mapping[Severity, str]] = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_SARIF: Final[Mapping[Severity, str]] = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def github(findings: Iterable[Finding]) -> str:
    """One workflow command a finding (docs.github.com, "Workflow commands for GitHub Actions")."""
    return "".join(
        f"::{_GITHUB[item.severity]} file={_property(item.file)},line={item.line},title={_property(item.rule)}::"
        f"{_escaped(f'{item.message}: {item.fix}')}\n"
        for item in findings
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def sarif(findings: Iterable[Finding]) -> str:
    """A log of SARIF 2.1.0."""
    rules = [
        {"id": row.id, "shortDescription": {"text": row.title}, "help": {"text": f"{row.why}; {row.fix}"}}
        for row in rows().values()
    ]
    driver = {"name": "omniplan", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "results": [_result(item) for item in findings]}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _result(item: Finding) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": item.file}, "region": {"startLine": item.line}}
    return {
        "ruleId": item.rule,
        "level": _SARIF[item.severity],
        "message": {"text": f"{item.message}: {item.fix}"},
        "locations": [{"physicalLocation": place}],
    }


def baseline(findings: Sequence[Finding]) -> str:
    """Findings to be accepted from now on: file, rule and message, so that lines may move."""
    entries = sorted(set(_keys(findings)))
    return json.dumps({"accepted": [list(entry) for entry in entries]}, indent=1, ensure_ascii=False) + "\n"


def _keys(findings: Iterable[Finding]) -> Iterator[tuple[str, str, str]]:
    return ((item.file, item.rule, item.message) for item in findings)


def accepted_in(text: str) -> frozenset[tuple[str, ...]]:
    """What a baseline accepts; raises InputError for one that cannot be read."""
    try:
        return frozenset(tuple(map(str, entry)) for entry in json.loads(text)["accepted"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError('baseline: expected {"accepted": [[file, rule, message], ...]}') from error


def without(report: CheckReport, accepted: AbstractSet[tuple[str, ...]]) -> CheckReport:
    """``report`` without what is accepted."""
    left = [item for item, key in zip(report.findings, _keys(report.findings), strict=True) if key not in accepted]
    return replace(report, findings=tuple(left))
