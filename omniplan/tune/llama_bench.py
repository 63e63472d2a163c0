"""One run by llama-bench: the prompt, and the answer behind it, each under the threads that the plan gives it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan.bench.interrupt import interruptible
from omniplan.bench.launch import last_line, model_file, program, running
from omniplan.bench.protocol import ServerStart
from omniplan.bench.watch import watched
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Phase
from omniplan.domain.progress import Progress
from omniplan.domain.request import Request
from omniplan.errors import ArgumentError
from omniplan.llamacpp.build import build_number, release
from omniplan.llamacpp.flags.llama_bench import bench_args
from omniplan.predict.bench_rows import BadRows, BenchSpeed, read_speed
from omniplan.tune.choice import TunedRun

# As often as llama-server is asked the request, and once more for the scatter.
_REPETITIONS: Final = 3
# Seconds that one test may take, beside loading.
_PATIENCE: Final = 1800.0
# A row of JSON has about 1,300 bytes.
_LARGEST: Final = 1 << 20


class BenchFailed(Exception):
    """llama-bench gave no speed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchTest:
    """One phase of a request as a test of llama-bench: tokens, and those that are in the cache before."""

    phase: Phase
    n_tokens: int
    depth: int

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments that ask for it."""
        n_prompt, n_gen = (self.n_tokens, 0) if self.phase is Phase.PROMPT else (0, self.n_tokens)
        return ("-p", str(n_prompt), "-n", str(n_gen), "-d", str(self.depth), "-r", str(_REPETITIONS), "-o", "json")


def unsayable(plan: Plan) -> str:
    """What of ``plan`` llama-bench cannot be told, "" where it has words for all."""
    try:
        for phase in Phase:
            _own_args(plan, phase)
    except ArgumentError as error:
        return f"{error.flag}: {error.problem}"
    return ""


def run(start: ServerStart, command: str, progress: Progress) -> TunedRun:
    """Measure the request of ``start``'s plan by ``command``, a llama-bench; raises KeyboardInterrupt when told to.

    The model's file and the seconds that its loading may take are those of ``start``.
    """
    plan, found, disturbances = start.plan, dict[Phase, BenchSpeed](), list[str]()
    tests = list(_tests(plan.request))
    words = [*program(command, field="bench"), "-m", model_file(start)]
    with watched(command, disturbances.append):
        for done, test in enumerate(tests):
            progress(done, len(tests), test.phase)
            try:
                found[test.phase] = _speed([*words, *_own_args(plan, test.phase), *test.words], start)
            except BenchFailed as failed:
                return TunedRun(args=plan.server_args, failure=str(failed))
    progress(len(tests), len(tests), "")
    prompt, decode = found.get(Phase.PROMPT), found.get(Phase.DECODE)
    return TunedRun(
        args=plan.server_args,
        prompt_seconds=plan.request.n_prompt / prompt.rate if prompt else 0.0,
        token_seconds=1 / decode.rate if decode else 0.0,
        scatter=max((speed.scatter for speed in found.values()), default=0.0),
        disturbances=tuple(disturbances),
        server=next((speed.build for speed in found.values()), ""),
        program="llama-bench",
        n_runs=_REPETITIONS,
        date=max((speed.date for speed in found.values()), default=""),
    )


def _own_args(plan: Plan, phase: Phase) -> tuple[str, ...]:
    return bench_args(plan.server_args, release(build_number(plan.llama_cpp)), phase)


def _tests(request: Request) -> Iterator[BenchTest]:
    if request.n_prompt:
        yield BenchTest(phase=Phase.PROMPT, n_tokens=request.n_prompt, depth=0)
    if request.n_gen:
        yield BenchTest(phase=Phase.DECODE, n_tokens=request.n_gen, depth=request.n_prompt)


def _speed(command: Sequence[str], start: ServerStart) -> BenchSpeed:
    limit = start.wait + _PATIENCE
    with tempfile.TemporaryDirectory(prefix="omniplan-tune-") as folder, interruptible() as stop_if_asked:
        rows, log = Path(folder, "rows.json"), Path(folder, "log.txt")
        with (
            rows.open("wb") as output,
            log.open("wb") as errors,
            running(command, start.plan.environment, errors, output) as process,
        ):
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                raise BenchFailed(f"llama-bench was not done after {limit:.0f} s") from None
        stop_if_asked()
        if code:
            raise BenchFailed(f"llama-bench ended with code {code}: {last_line(log)}")
        with rows.open("rb") as written:
            text = written.read(_LARGEST)
    try:
        return read_speed(text)
    except BadRows as error:
        raise BenchFailed(f"llama-bench -o json: {error}") from error
