"""Errors in the command's words: the option where Python has a parameter."""

from __future__ import annotations

import shlex
from typing import Final

from omniplan.domain.request import Request, RequestChanges
from omniplan.errors import Infeasible, InputError, OmniplanError

# Options of parameters that are no field of a request; where the two are one word, the option is that with dashes.
_SAME: Final = "model lengths runs retries timeout ttl into site plot nvidia_smi llama_bench server gguf".split()
_OTHERS: Final = {"format": "--as", "warmups": "--warmup", **{name: f"--{name.replace('_', '-')}" for name in _SAME}}


def said(error: OmniplanError) -> str:
    """The line of an error, with the option behind a parameter that is wrong and the options of what would help."""
    if isinstance(error, Infeasible):
        return error.worded(_options)
    return error.about(_option(error.field)) if isinstance(error, InputError) else str(error)


def _option(field: str) -> str:
    from omniplan.formats.regenerate import OPTIONS

    return OPTIONS.get(field) or _OTHERS.get(field, field)


def _options(changes: RequestChanges) -> str:
    """What to add to a command, or what to leave out where the changes are the default."""
    from omniplan.formats.regenerate import options_of

    words = shlex.join(options_of(Request(**changes)))
    return f"with {words}" if words else f"without {', '.join(map(_option, changes))}"
