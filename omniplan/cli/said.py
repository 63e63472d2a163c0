"""Errors in the command's words: the option where Python has a parameter."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from omniplan.domain.request import Request, RequestChanges
from omniplan.errors import Infeasible, InputError, OmniplanError
from omniplan.units import gib

if TYPE_CHECKING:
    from omniplan.text.screen import Screen

# Options of parameters that are no field of a request; where the two are one word, the option is that with dashes.
_SAME: Final = "model lengths runs retries timeout ttl into site plot nvidia_smi llama_bench server gguf".split()
_OTHERS: Final = {"format": "--as", "warmups": "--warmup", **{name: f"--{name.replace('_', '-')}" for name in _SAME}}


def said(error: OmniplanError) -> str:
    """The line of an error, with the option behind a parameter that is wrong and the options of what would help."""
    if isinstance(error, Infeasible):
        return error.worded(_options)
    return error.about(_option(error.field)) if isinstance(error, InputError) else str(error)


def refusal_screen(error: Infeasible) -> Screen:
    """Why nothing fits, then everything that would, a line each."""
    from omniplan.text.palette import Hue
    from omniplan.text.screen import Passage, Prose, Screen, Toned

    fits = [f"it fits {_options(changes)}" for changes in error.remedies]
    fits += [f"it fits as {error.quant}, {gib(error.quant_bytes)}"] if error.quant else []
    ways = [Prose(f"- {line}", hang=2) for line in (*fits, *error.advice)]
    return Screen((Passage([Prose(("omniplan: ", Toned(error.summary, Hue.BAD)), hang=2), *ways]),))


def refusal_json(refusal: Infeasible) -> str:
    """A refusal as JSON: the missing bytes by pool, and what has been planned and fits."""
    quants = [{"quant": refusal.quant, "tensor_bytes": refusal.quant_bytes}] if refusal.quant else []
    document = {
        "fits": False,
        "reason": refusal.summary,
        "shortfall": dict(refusal.shortfall),
        "remedies": [*refusal.remedies, *quants],
        "advice": refusal.advice,
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _option(field: str) -> str:
    from omniplan.formats.regenerate import OPTIONS

    return OPTIONS.get(field) or _OTHERS.get(field, field)


def _options(changes: RequestChanges) -> str:
    """What to add to a command, or what to leave out where the changes are the default."""
    from omniplan.formats.regenerate import options_of
    from omniplan.text.argv import words_line

    words = words_line([*options_of(Request(**changes))])
    return f"with {words}" if words else f"without {', '.join(map(_option, changes))}"
