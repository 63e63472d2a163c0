"""How a server is benchmarked: prompt lengths, runs, limits of time, and a server to start for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.documents.record import Record
from omniplan.domain.plan import Plan
from omniplan.errors import InputError

# The diaries' crash of early 2026 hit every prompt of over 100 tokens and none below.
SHORT, OVER_100, LONG = 32, 160, 1024
_MOST: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchProtocol(Record):
    """What is asked of a server.

    ``lengths`` are tokens of the prompts, ``n_gen`` tokens of each answer (0 for both: what the plan was made for, or
    32, 160 and 1024 with 128). Every length is asked ``runs`` times streamed and as often not, after ``warmups``
    requests that do not count. ``timeout`` is the seconds that one attempt may take, ``retries`` how often a failed one
    is made again; every failed attempt counts as an error.
    """

    lengths: tuple[int, ...] = ()
    n_gen: int = 0
    runs: int = 3
    warmups: int = 1
    timeout: float = 600.0
    retries: int = 2

    def __post_init__(self) -> None:
        if any(not 1 <= length <= _MOST for length in self.lengths):
            raise InputError(f"expected 1 to {_MOST:,} tokens", field="lengths", value=",".join(map(str, self.lengths)))
        for name, least in (("n_gen", 0), ("runs", 1), ("warmups", 0), ("retries", 0)):
            if getattr(self, name) < least:
                raise InputError(f"expected {least} or more", field=name, value=getattr(self, name))
        if not 0 < self.timeout <= 1e6:
            raise InputError("expected seconds above 0", field="timeout", value=f"{self.timeout:g}")

    def planned(self, plan: Plan | None) -> BenchProtocol:
        """The same with lengths and answer filled in: a plan's own request, so that like is compared with like."""
        request = plan.request if plan else None
        wanted = self.lengths or (SHORT, OVER_100, (request.n_prompt if request else 0) or LONG)
        n_gen = self.n_gen or (request.n_gen if request else 0) or 128
        return BenchProtocol(
            lengths=tuple(sorted(set(wanted))),
            n_gen=n_gen,
            runs=self.runs,
            warmups=self.warmups,
            timeout=self.timeout,
            retries=self.retries,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStart(Record):
    """A server to start for a benchmark: the plan's arguments after ``server``, a command as in a shell.

    ``gguf`` is the model's file where it is not at the plan's path, ``log`` the file for the server's output (a new
    temporary one by default), ``wait`` the seconds its loading may take.
    """

    plan: Plan
    server: str = "llama-server"
    gguf: str = ""
    log: str = ""
    wait: float = 600.0
