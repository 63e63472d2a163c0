"""A service that plans: types of a request and an answer, and one function between them, which mypy --strict passes.

python examples/service.py
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import omniplan


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to run: a model's place, a machine in words, and tokens of context."""

    model: str
    machine: str
    n_ctx: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The command that does it, with tokens per second; or why nothing does."""

    command: str = ""
    tokens_per_second: float | None = None
    problem: str = ""


def answered(wish: Wish) -> Answer:
    """The answer to one wish; what a person got wrong is an answer too."""
    try:
        machine = omniplan.machine_from_words(wish.machine)
        plan = omniplan.plan(wish.model, machine, n_ctx=wish.n_ctx, baselines=False)
    except omniplan.OmniplanError as error:
        return Answer(problem=str(error))
    speed = plan.prediction.decode_tokens_per_second if plan.prediction else None
    return Answer(
        command=shlex.join(["llama-server", "-m", plan.model.path, *plan.server_args]),
        tokens_per_second=speed.value if speed else None,
    )


def main() -> None:
    for machine in ("RTX 4090 + RTX 5070 Ti, 64 GB DDR5-6000", "GTX 1060 6GB, 16 GB DDR4-3200", "a fast one"):
        print(f"{machine}: {answered(Wish('GLM-4.7-Flash-Q8_0', machine, 32768))}")


if __name__ == "__main__":
    main()
