"""Builds without rows of their own: which known one stands for them, and what is kept for the difference."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.cli.main import main
from omniplan.domain.build import BuildBasis
from omniplan.domain.footprint import Footprint
from omniplan.llamacpp.build import builds
from omniplan.llamacpp.nearest import drift, drift_rows, neighbours
from omniplan.machines.probe import llama_server
from tests.contracts.sources import ROOT
from tests.oracle import moved

MODEL = ROOT / "tests/data/models/archs/qwen35moe-moe.gguf"
ARGS = ("-c", "4096", "-np", "1", "-ngl", "99")
ORDER = sorted(builds())
MACHINE = omniplan.load_machine("single-3090")
TWO = omniplan.load_machine("omni-nps1")


def priced(build: int, machine: omniplan.Machine = MACHINE) -> Footprint:
    return omniplan.footprint(MODEL, machine, ARGS, build=build)


@given(number=st.integers(1, 99_999))
def test_every_number_has_a_known_build_near_it(number: int) -> None:
    """None is nearer, and the one on the other side is the next there."""
    where = neighbours(number)

    assert abs(where.build.number - number) == min(abs(known - number) for known in ORDER)
    assert (where.basis is BuildBasis.KNOWN) == (number in builds())
    assert (where.other is not None) == (where.basis is BuildBasis.BETWEEN)
    if where.other:
        low, high = sorted((where.build.number, where.other.number))
        assert low < number < high
        assert (low, high) in list(pairwise(ORDER))


def test_a_build_between_two_keeps_what_the_other_takes_more() -> None:
    """Asked and priced build and the margin are said, and with it nothing is less than either."""
    pairs = [(a, b) for a, b in pairwise(ORDER) if b - a > 2 and priced(a, TWO).buffers != priced(b, TWO).buffers]
    low, high = pairs[-1]
    for number in (low + 1, high - 1):
        found, margin = priced(number, TWO), priced(number, TWO).build.margin

        assert (found.build.asked, found.build.basis) == (f"b{number}", BuildBasis.BETWEEN)
        for known in (low, high):
            for name, size in priced(known, TWO).buffers.items():
                assert size.total <= found.buffers[name].total + margin.get(name, 0)
        assert found.build.kept in [item.statement for item in found.assumptions]


def test_a_build_beyond_the_newest_keeps_more_the_farther_it_is() -> None:
    """At the pace that is recorded, which is said."""
    near, far = priced(ORDER[-1] + 100), priced(ORDER[-1] + 1000)

    assert 0 < near.build.margin["CUDA0"] < far.build.margin["CUDA0"]
    assert near.buffers == priced(ORDER[-1]).buffers
    assert f"{drift().per_hundred:.1%} per hundred builds" in far.build.why


def test_the_drift_that_is_stated_is_that_of_the_cases() -> None:
    """The rows follow each other, and most buffers of a part of the sample grew by no more than the last one says."""
    rows = drift_rows()
    found = sorted(moved.moves(moved.sample(60), rows[max(rows)].since, max(rows)))

    assert [row.since for _, row in sorted(rows.items())][1:] == sorted(rows)[:-1]
    assert (drift().since, drift().until) == (min(row.since for row in rows.values()), max(rows))
    assert found[int(0.9 * (len(found) - 1))] <= rows[max(rows)].grew


def test_a_build_before_the_oldest_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures are there, the verdict is not."""
    command = ["footprint", str(MODEL), "--machine", "single-3090", "--llama-cpp", f"b{ORDER[0] - 1}"]

    assert main([*command, "--", *ARGS]) == 3
    assert capsys.readouterr().out.startswith(f"Not known whether it fits; not counted: what b{ORDER[0] - 1} does")


def test_a_margin_that_a_gpu_does_not_hold_leaves_the_verdict_open() -> None:
    """A plan keeps it free, or finds no room."""
    number = ORDER[-1] + 2000
    taken = priced(number)
    tight = taken.buffers["CUDA0"].total + taken.build.margin["CUDA0"] // 2
    gpu = {"name": "CUDA0", "description": "RTX 3090", "total_mib": tight / (1 << 20)}
    machine = omniplan.Machine.from_dict({"name": "tight", "gpus": [gpu]})

    assert priced(ORDER[-1], machine).fits is True
    assert priced(number, machine).fits is None
    assert omniplan.plan(MODEL, MACHINE, n_ctx=4096, build=number, baselines=False).margins[0].growth == (
        omniplan.plan(MODEL, MACHINE, n_ctx=4096, build=ORDER[-1], baselines=False).margins[0].growth
        + taken.build.margin["CUDA0"]
    )


def test_every_verb_says_the_build(capsys: pytest.CaptureFixture[str]) -> None:
    """With the same bytes: footprint, compare, fit and plan; the default is called so."""
    number, machine = ORDER[-1] + 10, ["--machine", "single-3090", "--llama-cpp", f"server-cuda-b{ORDER[-1] + 10}"]
    for verb in (
        ["footprint"],
        ["compare"],
        ["fit"],
        ["plan"],
        ["frontier", "--ctx", "4096"],
        ["recommend", "--ctx", "4096"],
    ):
        rest = ["--", *ARGS] if verb[0] in {"footprint", "compare", "fit"} else ["--no-baselines"][: verb == ["plan"]]
        assert main([verb[0], str(MODEL), *verb[1:], *machine, *rest]) == 0
        said = " ".join(capsys.readouterr().out.split())
        words = "b{} simulated, nearest to b{}" if verb == ["plan"] else "llama.cpp b{}, the nearest known to b{}"
        assert words.format(ORDER[-1], number) in said
    assert main(["footprint", str(MODEL), *machine, "--json", "--", *ARGS]) == 0
    build = json.loads(capsys.readouterr().out)["build"]
    assert (build["asked"], build["priced"], build["basis"]) == (f"b{number}", f"b{ORDER[-1]}", "beyond")
    assert build["margin"]["CUDA0"] > 0
    assert main(["footprint", str(MODEL), "--machine", "single-3090", "--", *ARGS]) == 0
    assert "simulation of llama.cpp b11434, the default" in capsys.readouterr().out


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that ``auto`` asks; what it does is a test's own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "llama-server"


def program(path: Path, body: str) -> None:
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(0o755)


def test_auto_is_the_llama_server_at_hand(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints its version to stderr, behind what it says of devices; a note says which was found."""
    lines = "ggml_cuda_init: found 1 CUDA devices\\nversion: 11549 (abc1234)\\nbuilt with cc\\n"
    program(server, f"sys.stderr.write('{lines}')")

    command = ["footprint", str(MODEL), "--machine", "single-3090", "--llama-cpp", "auto", "--", *ARGS]
    assert main(command) == 0

    told = capsys.readouterr()
    assert "simulation of llama.cpp b11549" in told.out
    assert told.err == "note: --llama-cpp auto: llama-server here is b11549\n"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "no 'version: N'"),
        ("print('version: 0 (unknown)')", "a build without a number"),
        ("sys.stdout.buffer.write(bytes(range(256)) * 9)", "no 'version: N'"),
        ("[os.write(1, b'x' * 65536) for _ in iter(int, 1)]", "no 'version: N'"),
        ("os.fork(); time.sleep(60)", "does not answer within 0.5 s"),
    ],
    ids=["silent", "without a number", "no text", "without end", "hangs"],
)
def test_what_a_server_may_answer(server: Path, body: str, says: str) -> None:
    """One line, whatever it prints and however long it takes; nothing it started is left."""
    program(server, body)

    with pytest.raises(omniplan.InputError, match=says):
        llama_server.version(str(server), patience=0.5 if "sleep" in body else 20)
    assert not subprocess.run(["/usr/bin/pgrep", "-f", str(server)], capture_output=True, check=False).stdout


def test_without_a_server(server: Path) -> None:
    """What to do instead is said."""
    assert not server.exists()
    with pytest.raises(omniplan.InputError, match="no llama-server on PATH; name a build"):
        omniplan.footprint(MODEL, MACHINE, ARGS, build="auto")


def test_a_plan_is_shown_in_the_words_of_its_build(capsys: pytest.CaptureFixture[str]) -> None:
    """What b9873 says with --no-mmap stands so in the line to run, and in the file as newer builds say it."""
    command = ["plan", str(MODEL), "--machine", "single-3090", "--ctx", "4096", "--load-mode", "none", "--no-baselines"]

    main([*command, "--llama-cpp", "b9873"])
    assert " --no-mmap\n" in capsys.readouterr().out
    main([*command, "--llama-cpp", "b11434"])
    assert " --load-mode none\n" in capsys.readouterr().out


@pytest.mark.parametrize("build", [ORDER[0] - 300, ORDER[0] + 7, 10505, ORDER[-1] - 1, ORDER[-1] + 700, "latest known"])
def test_a_build_has_the_same_bytes_in_every_function(build: int | str) -> None:
    """Priced, compared, fitted and planned."""
    args = [*ARGS, "--fit", "off"]
    found = omniplan.footprint(MODEL, MACHINE, args, build=build)
    row = omniplan.compare(MODEL, MACHINE, [args], build=build).rows[0]
    plan = omniplan.plan(MODEL, MACHINE, n_ctx=4096, build=build, baselines=False)

    assert (row.build, row.fits) == (found.build, found.fits)
    assert row.used == {pool.name: pool.used for pool in found.pools}
    assert plan.footprint == omniplan.footprint(MODEL, MACHINE, plan.server_args, build=build)
    assert plan.footprint.build.asked == found.build.asked
    assert omniplan.fit(MODEL, MACHINE, args, build=build).fits == found.fits
