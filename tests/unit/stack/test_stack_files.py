"""A stack's files: every member with its arguments, who runs with whom, and GPUs and ports of their own."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

import omniplan
from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.formats import compose, llama_swap, models_conf, preset_ini
from omniplan.formats.registry import effect
from omniplan.stack.asked import External, Group, On, StackFile, StackModel
from omniplan.stack.files import evict_costs, together
from omniplan.stack.planner import make_stack
from omniplan.stack.values import Stack
from tests import stacks
from tests.launches import DATA, started
from tests.real_parsers import ask

ROW = {"description": "little", "total_mib": 8100, "free_mib": 8000, "bandwidth_gbs": 900}
MACHINE = {
    "name": "little",
    "gpus": [{"name": "CUDA0", "pci": "0000:81:00.0", **ROW}, {"name": "CUDA1", "pci": "0000:01:00.0", **ROW}],
    "memory": {"total_mib": 65536, "bandwidth_gbs": 50, "bandwidth_basis": "measured"},
    "cpu": {"n_cores": 8, "n_threads": 16},
}


@cache
def stack() -> Stack:
    """One model loaded with the server, three on demand: two that fit a GPU each, one over both, one on the CPU."""
    layers = {"main": 8, "second": 8, "large": 30, "slow": 8}
    models = tuple(
        StackModel(
            name=name,
            path=f"/srv/models/{name}.gguf",
            n_ctx=2048,
            priority=3.0 if name == "main" else 1.0,
            on=On.CPU if name == "slow" else On.GPU,
            on_demand=name != "main",
            port=9000 if name == "second" else None,
        )
        for name in layers
    )
    groups = (Group(name="pair", members=("main", "second", "slow")), Group(name="alone", members=("large", "slow")))
    return make_stack(
        StackFile(name="four", models=models, groups=groups),
        {name: stacks.small(n_layer, 24000) for name, n_layer in layers.items()},
        Machine.from_dict(MACHINE),
    )


def schema(name: str) -> Any:
    return json.loads((DATA / "schemas" / f"{name}.json").read_text())


def test_one_models_conf_runs_each(tmp_path: Path) -> None:
    """Bash turns every section into the planned arguments."""
    conf = tmp_path / "models.conf"
    conf.write_text(omniplan.emit_stack(stack(), format="models.conf"))
    found = started(conf, tmp_path)

    assert [section.id for section in models_conf.parse(conf.read_text()).sections] == list(found)
    for member in stack().members:
        args = found[member.name]
        model = args[args.index("--model") + 1]
        assert effect(("-m", model, *member.plan.server_args), {}) == effect(args, {})


def test_presets_say_what_is_loaded_at_the_start(tmp_path: Path) -> None:
    """llama.cpp's own router takes the file; any two of main, second and slow fit, but not any three of the four."""
    text = omniplan.emit_stack(stack(), format="preset")
    file = tmp_path / "preset.ini"
    file.write_text(text)
    (answer,) = ask([{"preset": str(file)}])
    sections = [section for section in preset_ini.parse(text).sections if section.id in answer["presets"]]
    loaded = {s.id: word.text for s in sections for key, word in s.entries if key.text == "load-on-startup"}

    assert list(answer["presets"]) == ["large", "main", "second", "slow"]
    assert loaded == {"main": "true", "second": "false", "large": "false", "slow": "false"}
    assert "--models-max 1\n" in text
    assert together(stack()) == 1


def test_the_matrix_is_what_co_fits() -> None:
    """Valid by llama-swap's schema; its sets, parts and all, are those of the stack, and main costs most to evict."""
    text = omniplan.emit_stack(stack(), format="llama-swap", ttl=600)
    config = YAML(typ="safe").load(text)
    jsonschema.validate(config, schema("llama-swap"))
    matrix = config["routing"]["router"]["settings"]["matrix"]
    sets = {tuple(matrix["vars"][var] for var in line.split(" & ")) for line in matrix["sets"].values()}
    costs = {matrix["vars"][var]: cost for var, cost in matrix["evict_costs"].items()}

    assert sets == set(stack().sets) == {("main", "second", "slow"), ("large", "slow")}
    assert costs == evict_costs(stack()) == {"main": 12, "second": 1, "large": 1, "slow": 1}
    assert config["hooks"]["on_startup"]["preload"] == ["main"]
    commands = {command.name: command for command in llama_swap.commands(text)}
    for member in stack().members:
        assert commands[member.name].args[-len(member.plan.server_args) :] == member.plan.server_args


def test_services_have_ports_and_gpus_of_their_own() -> None:
    """A container sees its member's GPUs only, by nvidia-smi's numbers, and counts them from 0."""
    text = omniplan.emit_stack(stack(), format="compose")
    config = YAML(typ="safe").load(text)
    jsonschema.validate(config, schema("compose"))
    services = config["services"]
    ports = {name: service["ports"] for name, service in services.items()}
    main, second = stack().member("main").gpus[0], stack().member("second").gpus[0]
    numbers = {"CUDA0": "1", "CUDA1": "0"}

    assert ports["second"] == ["127.0.0.1:9000:8080"]
    assert len({port for each in ports.values() for port in each}) == 4
    assert {main, second} == {"CUDA0", "CUDA1"}
    assert _devices(services["main"]) == [numbers[main]]
    assert _devices(services["large"]) == ["0", "1"]
    assert services["large"]["environment"]["CUDA_VISIBLE_DEVICES"] == "1,0"
    assert "deploy" not in services["slow"]
    assert "cuda" not in services["slow"]["image"]
    assert [service.get("profiles") for service in services.values()] == [None, *[["on-demand"]] * 3]
    commands = {command.name: command.args for command in compose.commands(text)}
    assert commands["second"][commands["second"].index("-mg") + 1] == "0"
    assert "-dev" not in commands["large"]


def _devices(service: Any) -> list[str]:
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    return list(device["device_ids"])


def test_a_stack_without_models_has_no_file() -> None:
    """Only a table; an unknown format is named."""
    empty = make_stack(StackFile(name="x", externals=(External(name="a", size=1),)), {}, Machine.from_dict(MACHINE))

    assert "a" in omniplan.emit_stack(empty)
    with pytest.raises(InputError, match="no model to run"):
        omniplan.emit_stack(empty, format="preset")
    with pytest.raises(InputError, match="format toml: unknown; choose one of table"):
        omniplan.emit_stack(stack(), format="toml")
