"""Which function answers for which row of ``data/rules.toml``, and for the rules of other packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from omniplan.check import (
    arguments,
    batch,
    build,
    cache,
    comments,
    conf,
    expert_cache,
    files,
    fitting,
    host,
    overrides,
    patterns,
    split,
    together,
    written,
)
from omniplan.check.hit import Hit
from omniplan.check.rule import CommandRule, FileRule, Rule
from omniplan.check.table import rows
from omniplan.documents.plugins import guarded, plugins

T = TypeVar("T")

COMMAND_RULES: Final[Mapping[str, CommandRule]] = {
    **arguments.RULES,
    **files.RULES,
    **fitting.RULES,
    **overrides.RULES,
    **patterns.RULES,
    **split.RULES,
    **cache.RULES,
    **batch.RULES,
    **host.RULES,
    **expert_cache.RULES,
    **comments.RULES,
    **written.RULES,
}

FILE_RULES: Final[Mapping[str, FileRule]] = {
    **conf.RULES,
    **build.RULES,
    **together.RULES,
}


def rules() -> Mapping[str, Rule]:
    """Every rule by its id, ours in the table's order, then those of other packages; raises InputError."""
    own = {
        id: Rule(row=row, of_command=COMMAND_RULES.get(id), of_file=FILE_RULES.get(id)) for id, row in rows().items()
    }
    others = plugins("omniplan.rules", Rule, called=lambda rule: rule.row.id, taken=own)
    return {**own, **{id: _guarded(rule) for id, rule in others.items()}}


def _guarded(rule: Rule) -> Rule:
    return replace(
        rule,
        of_command=rule.of_command and guarded(rule.row.id, _all_of(rule.of_command)),
        of_file=rule.of_file and guarded(rule.row.id, _all_of(rule.of_file)),
    )


def _all_of(ask: Callable[[T], Iterable[Hit]]) -> Callable[[T], Iterable[Hit]]:
    return lambda about: tuple(ask(about))
