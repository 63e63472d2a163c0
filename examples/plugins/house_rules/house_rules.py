"""A rule of one house: whoever can reach the server can use it, so it wants a key."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.check.case import Case
from omniplan.check.hit import Hit
from omniplan.check.rule import Rule
from omniplan.check.table import CheckRule, Need
from omniplan.check.values import Severity


def open_port(case: Case) -> Iterator[Hit]:
    """``--host`` other than this host, without ``--api-key``."""
    host = case.option("host")
    if host is not None and case.option("api-key") is None and host.value not in ("127.0.0.1", "localhost"):
        yield Hit(message=f"--host {host.value} lets everybody in", at=host.at)


OPEN_PORT = Rule(
    row=CheckRule(
        id="open-port",
        subject="house",
        severity=Severity.WARNING,
        title="a server that others can reach without a key",
        needs=(Need.ARGS,),
        why="the house's network has guests",
        fix="add --api-key, or leave --host out",
        source="minutes of 2026-11-02",
    ),
    of_command=open_port,
)
