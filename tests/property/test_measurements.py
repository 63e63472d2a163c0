"""Measurements: read back as they were written, and without a name, path, address or serial of anybody."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.api.documents import schema
from omniplan.bench.measurement import measured_rate, measurement
from omniplan.documents.record import read
from omniplan.domain.machine import Reservation
from omniplan.domain.measurement import Measurement
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.predict.known import is_same_hardware
from omniplan.predict.measured import hardware_of, load_measurements, recorded
from tests.machines import machines
from tests.property.strategies import examples

PLAN = omniplan.plan(
    "tests/data/models/archs/llama-moe.gguf",
    omniplan.load_machine("dual-4090-5070ti"),
    n_ctx=512,
    baselines=False,
)
# What would say whose machine it was; none of it is part of another word.
SECRETS = ("zeus.example.org", "/home/eve", "GPU-5eed", "10.77.66.55", "0000:5e:ed.0", "eve-at-work")


def measured(plan: Plan, *, value: float = 20.0, scatter: float = 0.01) -> Measurement:
    """A measurement of ``plan``."""
    rate = measured_rate(value, scatter, 2)
    return measurement(
        plan,
        program="llama-server",
        server="b11413-b3daa077a",
        date="2026-11-30",
        n_prompt=512,
        n_gen=64,
        prompt=rate,
        decode=rate,
        is_disturbed=False,
    )


def owned(machine: omniplan.Machine) -> omniplan.Machine:
    """The machine as its owner would have it: named, numbered, and in use."""
    others = (Reservation(size=0, reason="process 77 /home/eve/llama-server"),)
    gpus = tuple(
        replace(gpu, name=f"CUDA{at}", uuid="GPU-5eed", pci="0000:5e:ed.0", learned="/home/eve/x", reserved=others)
        for at, gpu in enumerate(machine.gpus)
    )
    return replace(
        machine,
        name="zeus.example.org",
        description="eve-at-work",
        notes=("10.77.66.55",),
        source="/home/eve/zeus.toml",
        learned="/home/eve/zeus.toml",
        gpus=gpus,
        memory=machine.memory and replace(machine.memory, reserved=others),
    )


@examples(60)
@given(
    machine=machines(),
    value=st.floats(1e-3, 1e6),
    scatter=st.floats(0, 1),
)
def test_a_measurement_names_nobody_and_is_read_back(machine: omniplan.Machine, value: float, scatter: float) -> None:
    """Whatever the machine is called, and wherever the model lies."""
    plan = replace(
        PLAN,
        machine=owned(machine),
        model=replace(PLAN.model, path="/home/eve/models/x.gguf", name="/home/eve/models/x"),
        server_args=(*PLAN.server_args, "--host", "10.77.66.55", "-a", "eve-at-work", "-mm", "/home/eve/mm.gguf"),
        environment={"CUDA_VISIBLE_DEVICES": "GPU-5eed", "GGML_OP_OFFLOAD_MIN_BATCH": "64", "GGML_X": "/home/eve"},
        machine_file="/home/eve/zeus.toml",
    )
    found = measured(plan, value=value, scatter=scatter)
    text = found.to_json()

    assert [secret for secret in SECRETS if secret in text] == []
    assert read(Measurement, json.loads(text)) == found
    assert jsonschema.Draft202012Validator(schema("measurement")).is_valid(json.loads(text))
    assert found.environment == {"GGML_OP_OFFLOAD_MIN_BATCH": "64"}
    assert found.llama_cpp == "b11413"
    assert found.file_name == measured(plan, value=value, scatter=scatter).file_name


@examples(60)
@given(machine=machines())
def test_hardware_is_known_again(machine: omniplan.Machine) -> None:
    """What is given away of a machine is taken for the same one, and not for one with a GPU more."""
    bare = hardware_of(machine)

    assert hardware_of(bare) == bare
    assert is_same_hardware(machine, bare)
    more = replace(machine, gpus=(*machine.gpus, *omniplan.load_machine("h100").gpus))
    assert not is_same_hardware(machine, more)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--rpc", "10.77.66.55:50052"], "addresses"),
        (["--spec-type", "draft-simple", "-md", "/home/eve/draft.gguf"], "a draft's file"),
        (["--lora", "/home/eve/lora.gguf"], "adapters"),
        (["--override-kv", "general.name=str:eve"], "metadata of one's own"),
        (["-ot", "/home/eve=CPU"], "a pattern with a path"),
    ],
)
def test_what_depends_on_what_is_kept_back_is_none(args: list[str], why: str) -> None:
    """Without it, the speed would be that of something else."""
    with pytest.raises(InputError, match=why):
        recorded(replace(PLAN, server_args=(*PLAN.server_args, *args)))


GOOD = json.loads(measured(PLAN).to_json())


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "is larger than 64 KiB"),
        ("[" * 60_000, "not JSON"),
        ("\xff", "schema_version is None|not JSON"),
        (json.dumps(GOOD | {"schema_version": 2}), "schema_version is 2"),
        (json.dumps(GOOD | {"host": "zeus"}), "host: unknown key"),
        (json.dumps(GOOD | {"decode": {"value": float("nan")}}), "decode.value: expected a number above 0"),
        (json.dumps(GOOD | {"decode": {"value": float("inf")}}), "decode.value: expected a number above 0"),
        (json.dumps(GOOD | {"decode": {"value": -1}}), "decode.value: expected a number above 0"),
        (json.dumps(GOOD | {"decode": None, "prompt": None}), "prompt: is missing, and so is decode"),
        (json.dumps(GOOD | {"args": ["--no-such-flag"]}), "args: --no-such-flag"),
        (json.dumps(GOOD | {"date": "today; rm -rf /"}), "date: expected a form like"),
        (json.dumps(GOOD | {"llama_cpp": "\x1b[2J"}), "llama_cpp: expected a form like"),
        (json.dumps(GOOD | {"machine": {"name": "x", "gpus": [{"name": "CUDA0", "total_mib": 1e30}]}}), "total_mib"),
    ],
)
def test_a_file_of_somebody_else_is_read_or_refused_in_one_line(tmp_path: Path, raw: str, problem: str) -> None:
    """With its name, and the path inside it."""
    path = tmp_path / "a.json"
    path.write_text(raw, encoding="utf-8")

    with pytest.raises(InputError, match=problem) as caught:
        load_measurements(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
