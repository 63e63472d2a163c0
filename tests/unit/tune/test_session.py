"""A tuning from start to end, with a runner of its own: journal, budget, interruptions and failures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import omniplan
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.tune.choice import MOST_RUNS, TunedRun
from omniplan.tune.journal import Journal, Subject, alone
from omniplan.tune.session import Tuned, tune
from omniplan.tune.text import tuned_screen
from tests.screens import everything
from tests.unit.tune.test_choice import World, grid

PLANS = grid()


class Clock:
    """Minutes pass only where a run takes them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def tuning(path: Path, *, budget: float = 1e9, each: float = 60.0, stop_at: int = 99, seed: int = 3) -> Tuned:
    """A tuning in a drawn world whose runs take ``each`` seconds; the one at ``stop_at`` is interrupted."""
    world, clock, seen = World(seed, PLANS), Clock(), 0

    def run(plan: Plan) -> TunedRun:
        nonlocal seen
        seen += 1
        clock.now += each
        if seen == stop_at:
            raise KeyboardInterrupt
        return world.run(plan)

    return tune(PLANS, run, path, budget=budget, say=lambda _: None, clock=clock)


def test_it_ends_when_nothing_is_left_to_gain(tmp_path: Path) -> None:
    """With the best that ran, its command first, and every run in the journal."""
    found = tuning(tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    text = everything(tuned_screen(found, "model.gguf"))

    assert found.best is not None
    assert "expected to save" in found.ended
    assert 1 < len(found.runs) <= MOST_RUNS
    assert len(lines) == 1 + len(found.runs)
    assert " llama-server -m model.gguf " in text.splitlines()[0]
    assert "Learned, times as predicted:" in text


def test_an_interruption_loses_nothing(tmp_path: Path) -> None:
    """The same call goes on: what was measured is not measured again."""
    path = tmp_path / "a.jsonl"
    first = tuning(path, stop_at=2)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"args": ["cut')
    second = tuning(path)

    assert first.ended.startswith("interrupted")
    assert len(first.runs) == 1
    assert second.runs[0] == first.runs[0]
    assert len({run.args for run in second.runs}) == len(second.runs)


def test_the_budget_is_kept(tmp_path: Path) -> None:
    """A run that would end after it is not begun, but for the first, of which nobody knows how long it takes."""
    assert len(tuning(tmp_path / "a.jsonl", budget=90).runs) == 1
    assert len(tuning(tmp_path / "b.jsonl", budget=150).runs) == 2
    assert "budget" in tuning(tmp_path / "c.jsonl", budget=1).ended


def test_no_plan_that_runs_is_a_result_too(tmp_path: Path) -> None:
    """Each failure is told; the search ends when no plan is left."""
    found = tune(
        PLANS[:2],
        lambda plan: TunedRun(args=plan.server_args, failure="CUDA out of memory"),
        tmp_path / "a.jsonl",
        budget=1e9,
        say=lambda _: None,
    )

    assert found.best is None
    assert found.ended == "no plan is left to run"
    assert "CUDA out of memory" in everything(tuned_screen(found, "model.gguf"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hello\n", ":1: not a line of a journal"),
        ("", "is no journal"),
        ("[" * 100_000 + "\n", ":1: not a line"),
        (json.dumps({"model": "other"}) + "\n", ":1: not a line"),
    ],
)
def test_a_file_that_is_no_journal_stays_as_it_is(tmp_path: Path, text: str, problem: str) -> None:
    """One line says what is wrong with it."""
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=problem):
        tuning(path)
    assert path.read_text(encoding="utf-8") == text


def test_a_journal_of_another_question_is_refused(tmp_path: Path) -> None:
    """Runs of another model or machine say nothing here."""
    path = tmp_path / "a.jsonl"
    Journal(path, Subject(model="x", tensor_bytes=1, machine="y", llama_cpp="b1", n_prompt=1, n_gen=1))

    with pytest.raises(InputError, match="is about x on y"):
        tuning(path)


def test_two_do_not_run_at_once(tmp_path: Path) -> None:
    """The second is told so at once."""
    path = tmp_path / "a.jsonl"
    with alone(path), pytest.raises(InputError, match="another omniplan tune"):
        tuning(path)
    assert tuning(path).best is not None


def test_plans_are_priced_and_keep_headroom() -> None:
    """Micro-batches, op offload, loading and threads differ; each fits, and the fastest predicted comes first."""
    from omniplan.domain.request import Request
    from omniplan.tune.rivals import rivals

    model = omniplan.load_model("tests/data/models/zoo/gpt-oss-20b-MXFP4_MOE.gguf")
    machine = omniplan.machine_from_words("RTX 4060 8GB, 32 GB DDR5-5600, Ryzen 7 7700X")
    plans = rivals(model, machine, Request(n_ctx=4096, n_ubatch=None, n_prompt=512))
    words = {word for plan in plans for word in plan.server_args}

    assert len({plan.server_args for plan in plans}) == len(plans) > 10
    assert all(margin.left >= 0 for plan in plans for margin in plan.margins)
    assert {"--no-op-offload", "none", "mmap"} <= words
    assert plans[0].prediction.request_seconds.value == min(plan.prediction.request_seconds.value for plan in plans)
