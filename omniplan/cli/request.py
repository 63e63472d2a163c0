"""The options that make a ``Request``: each is kept under the field it says, and left out where it is not given."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any, Final

from omniplan import units
from omniplan.domain.headroom import Headroom
from omniplan.domain.prediction import Objective
from omniplan.domain.request import AUTO, DEFAULT, Request
from omniplan.units import MIB

_NONE: Final = argparse.SUPPRESS


def request_of(options: argparse.Namespace, **more: Any) -> Request:
    """The request that ``options`` and ``more`` fields make; ``--llama-cpp`` is its build."""
    if "llama_cpp" in vars(options):
        more = {"build": options.llama_cpp, **more}
    known = {item.name for item in fields(Request)}
    given = {name: value for name, value in vars(options).items() if name in known}
    return Request(**given, **more)


def n_tokens(text: str) -> int:
    """Tokens, such as 32768 or 32k."""
    try:
        return units.tokens(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected tokens such as 32768 or 32k, got {text!r}") from None


def each_n_tokens(text: str) -> list[int]:
    """Numbers of tokens with commas between them, such as 8k,32k."""
    return [n_tokens(part) for part in text.split(",")]


def add_context(command: argparse.ArgumentParser) -> None:
    """The context, as one number."""
    command.add_argument(
        "--ctx",
        dest="n_ctx",
        type=n_tokens,
        default=_NONE,
        metavar="N",
        help="context in tokens, over all slots (-c), such as 32k",
    )


def add_slots(command: argparse.ArgumentParser) -> None:
    """The slots."""
    command.add_argument(
        "--parallel",
        dest="n_parallel",
        type=int,
        default=_NONE,
        metavar="N",
        help=f"slots (-np), default {DEFAULT.n_parallel}",
    )


def add_beside(command: argparse.ArgumentParser) -> None:
    """What the server loads beside the model."""
    for option, what in (("--mmproj", "a projector (-mm)"), ("--draft", "a draft model (-md)")):
        command.add_argument(option, default=_NONE, metavar="FILE", help=f"{what} that is loaded beside the model")
    command.add_argument(
        "--lora",
        type=lambda text: (text,),
        action="extend",
        default=_NONE,
        metavar="FILE",
        help="an adapter that is loaded beside the model; may be repeated",
    )
    command.add_argument(
        "--mtp",
        type=int,
        nargs="?",
        const=None,
        default=_NONE,
        metavar="N",
        help="draft with the model's own MTP heads, at most N tokens at a time; without N as many as pay",
    )
    command.add_argument(
        "--moe-cache",
        dest="moe_cache",
        type=_mib_or_auto,
        default=_NONE,
        metavar="MIB",
        help=f"cache of experts on the GPUs (--moe-cache-mib), or {AUTO} for one where it is clearly faster; b11549",
    )


def _mib_or_auto(text: str) -> int | str:
    return text if text == AUTO else n_bytes(text) // MIB


def n_bytes(text: str) -> int:
    """Bytes of a size, such as 8g, or of a bare number of MiB."""
    try:
        return units.size(text, MIB)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected MiB such as 8192, or a size such as 8g, got {text!r}") from None


def add_headroom(command: argparse.ArgumentParser) -> None:
    """What stays free."""
    command.add_argument(
        "--headroom",
        type=Headroom.parse,
        default=_NONE,
        metavar="H",
        help="MiB to keep free per GPU, a size such as 2g, a share such as 10%%, or default",
    )


def add_workload(command: argparse.ArgumentParser) -> None:
    """The request to predict."""
    for option, what, usual in (
        ("--n-prompt", "a prompt", DEFAULT.n_prompt),
        ("--n-gen", "an answer", DEFAULT.n_gen),
    ):
        command.add_argument(
            option, type=n_tokens, default=_NONE, metavar="N", help=f"tokens of {what}, default {usual}"
        )


def add_objective(command: argparse.ArgumentParser) -> None:
    """What the request should be fast at."""
    *others, last = (word for word in Objective if word is not DEFAULT.objective)
    command.add_argument(
        "--objective",
        default=_NONE,
        metavar="O",
        help=f"what to be fast at: {DEFAULT.objective} (default), {', '.join(others)} or {last}",
    )
