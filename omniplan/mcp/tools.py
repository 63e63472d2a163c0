"""The tools: what an assistant may ask, in the words of the command's verbs. They write nothing and start nothing."""

from __future__ import annotations

import shlex
from typing import Annotated, Final

from pydantic import Field

from omniplan import api
from omniplan.domain.request import DEFAULT
from omniplan.errors import Infeasible, InputError
from omniplan.mcp.answers import Checked, Planned, Priced, Ranked

Model = Annotated[
    str,
    Field(description="a GGUF file, an https:// address of one, hf:OWNER/REPO:QUANT, or ollama:NAME:TAG; headers only"),
]
Machine = Annotated[
    str,
    Field(description="the machine in words, such as 'RTX 4090 24GB + RTX 3060, 64 GB DDR5', or a profile's name"),
]
Context = Annotated[int | None, Field(description="context in tokens over all slots; left out: at most 32768", ge=1)]
CacheType = Annotated[str, Field(description="type of the KV cache: f16, q8_0, q5_1, q5_0, q4_1, q4_0 or bf16")]
Tokens = Annotated[int, Field(description="tokens of the request that is to be fast", ge=0)]


def plan(
    model: Model,
    machine: Machine,
    n_ctx: Context = None,
    cache_type: CacheType = DEFAULT.cache_type_k,
    n_prompt: Tokens = DEFAULT.n_prompt,
    n_gen: Tokens = DEFAULT.n_gen,
    n_parallel: Annotated[int, Field(description="slots: requests at once", ge=1)] = DEFAULT.n_parallel,
) -> Planned:
    """Choose llama-server's arguments for a model on a machine: the command to paste, its speed, and bytes per memory.

    Nothing is downloaded but the header, and nothing is started.
    """
    try:
        found = api.plan(
            model,
            machine,
            n_ctx=n_ctx,
            cache_type_k=cache_type,
            cache_type_v=cache_type,
            n_prompt=n_prompt,
            n_gen=n_gen,
            n_parallel=n_parallel,
        )
    except Infeasible as refusal:
        return Planned.refused(refusal)
    return Planned.of(found)


def footprint(
    machine: Machine,
    command: Annotated[str, Field(description="a llama-server command, or only its arguments, as in a shell")],
    model: Annotated[Model | None, Field(description="the model, where the command does not name it with -m")] = None,
) -> Priced:
    """Price a command that somebody has: bytes on every device as llama.cpp itself counts them, and whether it fits."""
    return Priced.of(api.footprint(model, machine, _words(command)))


def check(
    text: Annotated[
        str, Field(description="a shell script, a command, models.conf, preset, Compose or llama-swap file")
    ],
    name: Annotated[
        str, Field(description="the name of its file, which says the format, such as compose.yaml")
    ] = "run.sh",
    machine: Annotated[Machine | None, Field(description="the machine, for findings about bytes and speed")] = None,
) -> Checked:
    """Find what is wrong with a configuration of llama-server: unknown flags, what does not fit, what is slow."""
    return Checked.of(api.check_text(text, name=name, machine=machine))


def recommend(
    models: Annotated[
        list[Model], Field(description="models, or one of which all usual quants are ranked", min_length=1)
    ],
    machine: Machine,
    n_ctx: Context = None,
) -> Ranked:
    """Rank quants of a model, or several models, on a machine: which to download, and how fast each would run."""
    return Ranked.of(api.recommend(models, machine, n_ctx=n_ctx))


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise InputError(f"{command!r}: not a command of a shell: {error}") from error


TOOLS: Final = (plan, footprint, check, recommend)
