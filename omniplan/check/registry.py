"""Which function answers for which row of ``data/rules.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from omniplan.check import (
    arguments,
    batch,
    build,
    cache,
    comments,
    conf,
    files,
    fitting,
    host,
    overrides,
    patterns,
    split,
    together,
)
from omniplan.check.rule import CommandRule, FileRule

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
    **comments.RULES,
}

FILE_RULES: Final[Mapping[str, FileRule]] = {
    **conf.RULES,
    **build.RULES,
    **together.RULES,
}
