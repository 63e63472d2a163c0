"""What a running server shows: a benchmark against gates and a plan, and the check after an update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omniplan.domain.progress import unwatched

if TYPE_CHECKING:
    from omniplan.bench.gates import Gate
    from omniplan.bench.protocol import BenchProtocol, ServerStart
    from omniplan.bench.values import BenchReport, SmokeReport
    from omniplan.domain.plan import Plan
    from omniplan.domain.progress import Progress


def bench(
    target: str | ServerStart,
    *,
    protocol: BenchProtocol | None = None,
    plan: Plan | None = None,
    gates: Sequence[Gate] | str | Path | None = None,
    served: str = "",
    vram_budget: int | None = None,
    api_key: str = "",
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> BenchReport:
    """Benchmark an OpenAI-compatible server: the one at a URL, or one started for it with a plan's arguments.

    Requests go out one at a time. The report holds them beside ``plan`` (a ``ServerStart`` brings its own) and judges
    them by ``gates``, a file of them or the shipped ones. ``served`` is the name to ask for, by default the first that
    the server lists. ``vram_budget`` is bytes per GPU, by default what the plan leaves each; GPUs are read where the
    server runs on this host. ``progress`` is told requests made, requests in all and what comes next, ``say`` what else
    a user wants to know. Ctrl-C ends the run and keeps what was measured. Raises InputError when nothing answers at the
    URL.
    """
    from omniplan.bench import session
    from omniplan.bench.protocol import BenchProtocol
    from omniplan.version import __version__

    return session.bench(
        target,
        protocol or BenchProtocol(),
        _gates(gates),
        version=__version__,
        plan=plan,
        model=served,
        vram_budget=vram_budget,
        api_key=api_key,
        progress=progress or unwatched,
        say=say or silent,
    )


def smoke(
    target: str | ServerStart,
    *,
    served: Sequence[str] = (),
    protocol: BenchProtocol | None = None,
    api_key: str = "",
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> SmokeReport:
    """Check a server after an update: a short prompt and one of over 100 tokens to every model of ``served``.

    By default these are the names that the server lists. Raises InputError when nothing answers at the URL.
    """
    from omniplan.bench import session
    from omniplan.bench.protocol import BenchProtocol
    from omniplan.version import __version__

    return session.smoke(
        target,
        protocol or BenchProtocol(),
        version=__version__,
        models=served,
        api_key=api_key,
        progress=progress or unwatched,
        say=say or silent,
    )


def judge(report: BenchReport | str | Path, gates: Sequence[Gate] | str | Path | None = None) -> BenchReport:
    """A report, or the one saved at a path, with the verdicts of other gates: a file of them, or the shipped ones."""
    from omniplan.bench.document import load_bench
    from omniplan.bench.judge import judged

    return judged(load_bench(report) if isinstance(report, str | Path) else report, _gates(gates))


def _gates(given: Sequence[Gate] | str | Path | None) -> Sequence[Gate]:
    from omniplan.bench.gate_table import load_gates, shipped_gates

    if given is None:
        return shipped_gates()
    return load_gates(given) if isinstance(given, str | Path) else given


def silent(text: str) -> None:
    """Nobody listens."""
