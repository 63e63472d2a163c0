"""What logs teach, what the next plan makes of it, and which logs are refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import omniplan
from omniplan.cli.main import main
from omniplan.domain.prediction import Phase
from omniplan.errors import InputError
from omniplan.machines.files import machine_toml
from omniplan.predict.learned import Learned, LearnedMemory, load
from omniplan.units import MIB
from omniplan.verify.logs import parse_log
from omniplan.verify.logs.report import BreakdownRow, BufferKind, LoadReport, Timing
from tests import diary
from tests.log_writer import ERAS, render

ERA = ERAS["b11434"]
MACHINE = omniplan.load_machine(diary.MACHINE)


def run(name: str, *, beside: int = 1500, rate: float = 103.79, build: int = 8022) -> LoadReport:
    """The diary's run that ended by itself, with ``beside`` MiB in use beside the model on CUDA0."""
    report = diary.glm(build=build)
    row = BreakdownRow(
        device="CUDA0",
        model=15000 * MIB,
        context=2371 * MIB,
        compute=448 * MIB,
        line=0,
        total=24564 * MIB,
        free=(24564 - 15000 - 2371 - 448 - beside) * MIB,
        unaccounted=beside * MIB,
    )
    timing = Timing(phase=Phase.DECODE, tokens=1923, seconds=1923 / rate, rate=rate, line=0)
    loads = (replace(report.loads[0], breakdown=(row,)),)
    return replace(parse_log(render(replace(report, loads=loads, timings=(timing,)), ERA)), source=name)


@cache
def taught(*, compute: float = 1.0) -> Learned:
    """One run at two thirds of the usual speed, and with ``compute`` times its compute buffers, held to the model."""
    report = run("a.log", rate=70.0)
    (load,) = report.loads
    context = load.contexts[0]
    buffers = tuple(
        replace(item, size=int(compute * item.size)) if item.kind is BufferKind.COMPUTE else item
        for item in context.buffers
    )
    loads = (replace(load, contexts=(replace(context, buffers=buffers), *load.contexts[1:])),)
    return omniplan.calibrate([replace(report, loads=loads)], model=diary.MODEL, machine=MACHINE, args=diary.args(512))


def kept(plan: omniplan.Plan, name: str) -> int:
    return next(margin.context for margin in plan.margins if margin.pool == name)


@pytest.mark.parametrize("beside", [1500, 900])
def test_the_next_plan_keeps_what_was_measured(beside: int, tmp_path: Path) -> None:
    """What runs show in use beside the model is kept, less what is in use already, and page tables; it says so."""
    path = tmp_path / "mine.toml"
    path.write_text(omniplan.calibrate([run("a.log", beside=beside)], machine=MACHINE).to_toml(), encoding="utf-8")

    before = omniplan.plan(diary.MODEL, MACHINE, n_ctx=8192)
    after = omniplan.plan(diary.MODEL, MACHINE, n_ctx=8192, calibration=path)

    in_use = (MACHINE.gpus[0].total - MACHINE.gpus[0].free) // MIB
    assert 0 <= kept(after, "CUDA0") - (beside - in_use) * MIB < 2 * MIB
    assert kept(after, "CUDA1") == kept(before, "CUDA1")
    reason = next(reason for reason in after.reasons if reason.subject == "learned on CUDA0")
    assert "in use beside a model" in reason.statement
    assert reason.source == f"{path}: measured in 1 run of b8022"


def test_a_build_s_compute_buffers_count(tmp_path: Path) -> None:
    """With the model, the factor between a run's compute buffer and the price of its own build is learned and kept."""
    learned = taught(compute=1.25)
    path = tmp_path / "mine.toml"
    path.write_text(learned.to_toml(), encoding="utf-8")
    gpus = tuple(replace(gpu, compute=None) for gpu in learned.gpus if gpu.beside)
    plain = replace(learned, memory=LearnedMemory(machine=MACHINE.name, gpus=gpus))
    other = tmp_path / "plain.toml"
    other.write_text(plain.to_toml(), encoding="utf-8")

    factor = next(gpu.compute for gpu in learned.gpus if gpu.name == "CUDA0")
    with_factor, without = (omniplan.plan(diary.MODEL, MACHINE, n_ctx=8192, calibration=file) for file in (path, other))

    assert factor is not None
    assert factor.value == pytest.approx(1.25, rel=5e-3)
    usual = next(gpu.compute for gpu in taught().gpus if gpu.name == "CUDA0")
    assert usual is not None
    assert usual.value == pytest.approx(1, rel=5e-3), "the diary's 448 MiB are what its build is priced at"
    growth = [next(m.growth for m in plan.margins if m.pool == "CUDA0") for plan in (with_factor, without)]
    assert growth[0] > growth[1]


def test_speed_is_learned_and_used(tmp_path: Path) -> None:
    """A machine slower than its constants say is predicted slower by the next plan, which says so."""
    learned = taught()
    path = tmp_path / "mine.toml"
    path.write_text(learned.to_toml(), encoding="utf-8")

    before = omniplan.plan(diary.MODEL, MACHINE, n_ctx=8192)
    after = omniplan.plan(diary.MODEL, MACHINE, n_ctx=8192, calibration=path)

    assert after.prediction.decode_tokens_per_second.value < before.prediction.decode_tokens_per_second.value
    assert "learned speed" in {reason.subject for reason in after.reasons}
    assert all("1 runs" in row.source for row in learned.by_name.values())


def test_several_runs_give_a_median_and_a_spread() -> None:
    """Three runs of one build: the middle one, the range, and how many."""
    learned = omniplan.calibrate([run(f"{size}.log", beside=size) for size in (700, 710, 705)], machine=MACHINE)

    (gpu,) = learned.gpus
    assert gpu.beside is not None
    assert (705, 700, 710, 3) == (
        gpu.beside.value / MIB,
        gpu.beside.low / MIB,
        gpu.beside.high / MIB,
        gpu.beside.n_runs,
    )


def test_builds_are_kept_apart_and_the_newest_counts(tmp_path: Path) -> None:
    """Two builds may differ; a plan takes the newer one's figure."""
    runs = [run("old.log", beside=2400, build=8022), run("new.log", beside=1200, build=11434)]
    path = tmp_path / "mine.toml"
    path.write_text(omniplan.calibrate(runs, machine=MACHINE).to_toml(), encoding="utf-8")

    plan = omniplan.plan(diary.MODEL, MACHINE, n_ctx=8192, calibration=path)

    assert {8022, 11434} == {gpu.build for gpu in load(path).gpus}
    assert plan.machine.gpu("CUDA0").beside == 1200 * MIB


def test_a_file_reads_back(tmp_path: Path) -> None:
    """Everything learned survives its own file, to the six digits written."""
    learned = taught()
    path = tmp_path / "mine.toml"
    path.write_text(learned.to_toml(), encoding="utf-8")

    again = load(path)

    assert learned == again
    assert learned.to_toml() == again.to_toml()


def refused(logs: list[LoadReport], **kwargs: object) -> str:
    with pytest.raises(InputError) as caught:
        omniplan.calibrate(logs, **{"machine": MACHINE, **kwargs})  # type: ignore[arg-type]
    return str(caught.value)


def test_contradictory_memory_is_refused() -> None:
    """Two runs of one build that differ by more than growth explains: both are named with their figures."""
    text = refused([run("quiet.log", beside=700), run("busy.log", beside=5700)])

    assert "quiet.log shows 700 MiB" in text
    assert "busy.log 5,700 MiB" in text


def test_contradictory_speeds_are_refused() -> None:
    """The time model's own check, with the logs' names."""
    logs = [run("fast.log", rate=110.0), run("slow.log", rate=30.0)]

    text = refused(logs, model=diary.MODEL, args=diary.args(512))

    assert "fast.log" in text
    assert "slow.log" in text


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (replace(diary.glm(n_ubatch=1024), source="oom.log"), "load failed"),
        (replace(diary.glm(), source="bare.log", timings=()), "teaches nothing"),
        (LoadReport(source="empty.log", n_lines=0, facts={}), "no load"),
    ],
    ids=["failed", "nothing", "no load"],
)
def test_bad_logs_are_refused_with_the_reason(log: LoadReport, says: str) -> None:
    """A failed load, one that shows nothing, and a log without any."""
    text = refused([log])

    assert text.startswith(log.source)
    assert says in text


def test_another_machine_s_log_is_refused() -> None:
    """The GPU in the log is not the one in the machine file, or not the one in the calibration."""
    assert "RTX 3090" in refused([run("a.log")], machine=omniplan.load_machine("single-3090"))


def test_a_calibration_of_another_machine_is_refused(tmp_path: Path) -> None:
    """A plan does not take over what another machine's runs taught."""
    path = tmp_path / "mine.toml"
    path.write_text(omniplan.calibrate([run("a.log")], machine=MACHINE).to_toml(), encoding="utf-8")

    with pytest.raises(InputError, match=r"mine\.toml: CUDA0 is a RTX 4090"):
        omniplan.plan(diary.MODEL, omniplan.load_machine("h100"), calibration=path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[learned]\n", "machine"),
        ('[learned]\nmachine = "m"\nlogs = []\n[[learned.gpus]]\nname = "CUDA0"\nbuild = 1\n', "beside"),
        ('[learned]\nmachine = "m"\nlogs = []\nspeed = 1\n', "speed"),
        ("[gpu.nonsense]\nvalue = 1\n", "nonsense"),
        ("not toml", "mine.toml"),
    ],
)
def test_a_wrong_file_names_its_path(text: str, says: str, tmp_path: Path) -> None:
    """One line with the place inside the file."""
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=says):
        load(path)


def test_the_file_beside_the_machine_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``NAME.calibration.toml`` beside ``NAME.toml`` is used by the command without being asked, unless told not to."""
    machine, log = tmp_path / "desk.toml", tmp_path / "run.log"
    machine.write_text(machine_toml(MACHINE), encoding="utf-8")
    report = run("", beside=1500)
    log.write_text("\n".join(render(replace(report, timings=()), ERA)), encoding="utf-8")
    made = main(["calibrate", str(machine), "--log", str(log), "-o", str(tmp_path / "desk.calibration.toml")])
    plan = ["plan", diary.MODEL, "--machine", str(machine), "--ctx", "8192", "-vv"]

    assert made == 0
    assert main(plan) == 0
    assert "learned on CUDA0" in capsys.readouterr().out
    assert main([*plan, "--calibration", "none"]) == 0
    assert "learned on CUDA0" not in capsys.readouterr().out


def test_memory_in_use_by_nvidia_smi_teaches_too(tmp_path: Path) -> None:
    """Used less buffers, and what the driver keeps, where the log has no breakdown."""
    path = tmp_path / "used.csv"
    path.write_text("index, memory.used [MiB]\n0, 23984 MiB\n1, 13894 MiB\n", encoding="utf-8")
    report = replace(parse_log(render(diary.glm(), ERA)), source="a.log")

    learned = omniplan.calibrate([report], machine=MACHINE, nvidia_smi=path)

    first = next(gpu.beside for gpu in learned.gpus if gpu.name == "CUDA0")
    assert first is not None
    assert first.value / MIB == pytest.approx(23984 - 20698.01 - 2371.5 - 448 + 428, abs=0.1)
