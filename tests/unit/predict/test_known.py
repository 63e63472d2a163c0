"""What measurements say of a plan: speeds of the same settings here and elsewhere, and a machine's constants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.cli.keeping import keep
from omniplan.cli.main import main
from omniplan.domain.evidence import Basis
from omniplan.domain.measurement import Measurement
from omniplan.errors import InputError
from omniplan.predict.known import learn_measured
from tests.property.test_measurements import PLAN, measured

MODEL = "tests/data/models/archs/llama-moe.gguf"
MACHINE = "dual-4090-5070ti"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of own rows, empty."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("OMNIPLAN_DATA", str(folder))
    return folder / "measurements"


def predicted(*, calibration: Path | None = None, args: tuple[str, ...] = PLAN.server_args) -> omniplan.Prediction:
    """The prediction of the plan's arguments on the plan's machine."""
    return omniplan.predict(MODEL, MACHINE, args, n_prompt=512, n_gen=64, calibration=calibration)


def slower(factor: float, **changes: object) -> Measurement:
    """A measurement that took ``factor`` times as long as predicted."""
    found = predicted()
    item = measured(PLAN)
    assert item.prompt is not None
    assert item.decode is not None
    rates = {
        "prompt": replace(item.prompt, value=found.prompt_tokens_per_second.value / factor),
        "decode": replace(item.decode, value=found.decode_tokens_per_second.value / factor),
    }
    return replace(item, **{**rates, **changes})  # type: ignore[arg-type]


def test_what_was_measured_here_is_shown_so(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the range of its requests, beside the prediction; nothing is shown of other settings."""
    (path,) = omniplan.keep_measurements([slower(1.25)])
    found = predicted().measured
    main(["plan", MODEL, "--machine", MACHINE, "--ctx", "512", "--n-prompt", "512", "--n-gen", "64", "--no-baselines"])
    shown = " ".join(capsys.readouterr().out.split())

    assert path.parent == own
    assert [item.basis for item in found] == [Basis.MEASURED]
    assert found[0].decode_tokens_per_second is not None
    assert found[0].decode_tokens_per_second.value == pytest.approx(
        predicted().decode_tokens_per_second.value / 1.25, rel=1e-4
    )
    assert "Measured here: " in shown
    assert "2 runs of 512 + 64 tokens, b11413, 2026-11-30" in shown
    assert predicted(args=(*PLAN.server_args, "-ub", "64")).measured == ()


@pytest.mark.usefixtures("own")
def test_others_measurements_are_elsewhere_and_teach(tmp_path: Path) -> None:
    """A folder of them is a calibration: what they took is shown, and predicted from then on."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "a.json").write_text(slower(1.25).to_json(), encoding="utf-8")
    found = predicted(calibration=folder)

    assert [item.basis for item in found.measured] == [Basis.ELSEWHERE]
    assert found.decode_tokens_per_second.value == pytest.approx(
        predicted().decode_tokens_per_second.value / 1.25, rel=0.02
    )
    omniplan.keep_measurements([slower(1.1)])
    assert [item.basis for item in predicted(calibration=folder).measured] == [Basis.MEASURED, Basis.ELSEWHERE]


@pytest.mark.usefixtures("own")
def test_the_request_most_like_it_counts_and_undisturbed_ones_first() -> None:
    """Several measurements of one request are one range."""
    omniplan.keep_measurements(
        [slower(1.2), slower(1.3), slower(4.0, is_disturbed=True), slower(2.0, n_prompt=8192), slower(1.2)]
    )
    (found,) = predicted().measured

    assert (found.n_prompt, found.n_runs) == (512, 4)
    assert found.decode_tokens_per_second is not None
    assert found.decode_tokens_per_second.high / found.decode_tokens_per_second.low == pytest.approx(
        1.3 / 1.2 * 1.01**2, rel=1e-3
    )


def test_what_cannot_be_read_here_is_passed_over(own: Path) -> None:
    """A later version's file must not end a plan."""
    omniplan.keep_measurements([slower(1.2)])
    (own / "9.json").write_text('{"schema_version": 99}', encoding="utf-8")

    assert len(predicted().measured) == 1


def test_a_folder_that_cannot_be_made_ends_nothing(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says so in one line, and gives its answer all the same."""
    own.write_text("a file", encoding="utf-8")
    report = omniplan.judge("examples/bench_report.json")
    measured_now = replace(report, date="2026-11-30T12:00:00+00:00")

    keep(measured_now, PLAN)

    assert capsys.readouterr().err == f"note: {own}: cannot be made: File exists\n"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"machine": omniplan.load_machine("h100")}, "none of 1 measurements is of .* on "),
        ({"model": replace(measured(PLAN).model, tensor_bytes=1)}, "none of 1 measurements is of "),
    ],
)
def test_measurements_of_something_else_teach_nothing(changes: dict[str, object], problem: str) -> None:
    """Another machine, or another model."""
    with pytest.raises(InputError, match=problem):
        learn_measured(
            omniplan.load_model(MODEL), [slower(1.2, **changes)], omniplan.load_machine(MACHINE), source="a.json"
        )


def test_calibrate_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The machine is their own; a disturbed one counts only where no other is."""
    (tmp_path / "a.json").write_text(slower(1.25).to_json(), encoding="utf-8")
    (tmp_path / "b.json").write_text(slower(3.0, is_disturbed=True).to_json(), encoding="utf-8")

    assert main(["calibrate", "--records", str(tmp_path), "--model", MODEL]) == 0
    alone = capsys.readouterr().out
    (tmp_path / "b.json").unlink()
    main(["calibrate", "--records", str(tmp_path), "--model", MODEL])

    assert alone == capsys.readouterr().out
    assert "measurements: " in alone
