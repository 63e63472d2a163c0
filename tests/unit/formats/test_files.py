"""Emitted files: accepted by llama.cpp's own parsers, valid by their schemas, and merged without touching the rest."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

import omniplan
from omniplan.documents.text_file import read_text
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.formats import llama_swap, models_conf, preset_ini
from omniplan.formats.format import Options
from omniplan.formats.launch import launch
from omniplan.formats.registry import FORMATS, effect, render
from omniplan.llamacpp.build import release
from omniplan.llamacpp.flags.args import parse, read_flags
from omniplan.llamacpp.flags.dialect import takes
from omniplan.machines.files import shipped
from tests.launches import DATA, DIARY, GLM, plan_of, started
from tests.real_parsers import ask

GPT_OSS = "gpt-oss-120b-MXFP4_MOE"
SMALL = "Qwen3-0.6B-Q8_0"


def glm(machine: str = "dual-4090-5070ti", **options: Any) -> Plan:
    return plan_of(GLM.stem, machine, **options)


@pytest.mark.parametrize("id", ["glm-flash-q4", "new-one", "bench-new"])
@pytest.mark.parametrize("name", [GLM.stem, GPT_OSS])
def test_sections_of_the_diary_regenerated(tmp_path: Path, name: str, id: str) -> None:
    """In the diary's own file, replaced or appended: bash turns the section into exactly the planned arguments."""
    plan = plan_of(name, "dual-4090-5070ti")
    before = read_text(DIARY)
    after = omniplan.emit(plan, format="models.conf", section=id, into=before)
    conf = tmp_path / "models.conf"
    conf.write_bytes(after.encode())
    args = started(conf, tmp_path)[id]
    planned = [(flag.name, *flag.values) for flag in read_flags(plan.server_args)]
    if id.startswith("bench-"):
        planned = [("-c", "10240") if flag[0] == "-c" else flag for flag in planned]
    wanted = [arg for flag in planned for arg in flag]

    model = Path(plan.model.path)
    inside = "zoo/" * (model.parent.name == "zoo") + model.name

    assert effect(args, {}) == effect(("-m", f"/models/{inside}", *wanted), {})
    assert _others(after, id) == _others(before, id)


def _others(text: str, id: str) -> list[tuple[str, dict[str, str]]]:
    return [(section.id, section.values) for section in models_conf.parse(text).sections if section.id != id]


def test_a_benchmarks_section_follows_their_rules() -> None:
    """Its context is that of all benchmarks; it has no description, no speed, no FIT_TARGET, and says what it is."""
    text = omniplan.emit(glm(), format="models.conf", section="bench-glm")
    values = models_conf.parse(text).section("bench-glm").values

    assert values["CTX_SIZE"] == "10240"
    assert values["NAME"].endswith(" (benchmark)")
    assert not {"DESCRIPTION", "SPEED", "FIT_TARGET"} & values.keys()
    with pytest.raises(InputError, match="10240"):
        omniplan.emit(glm(n_ctx=4096), format="models.conf", section="bench-glm")


def test_a_section_says_where_its_facts_come_from() -> None:
    """The architecture from the header, the speed estimated, the reasons with sources, and how to make it again."""
    text = omniplan.emit(glm(), format="models.conf", section="glm")
    values = models_conf.parse(text).section("glm").values

    assert "# architecture: deepseek2, 47 layers, MoE, 64 experts, 4 used" in text
    assert re.search(r"\(source: GGUF\s+(# +)?header of ", text)
    assert re.fullmatch(r"~estimated [\d.]+-[\d.]+ t/s", values["SPEED"])
    assert "# regenerate: omniplan plan " in text
    assert "--as models.conf --section glm" in text
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in text


def test_llama_cpp_takes_the_arguments() -> None:
    """The parser of a real llama.cpp accepts every plan's argument list and holds what ours holds."""
    plans = [glm(), glm("h100"), plan_of(GPT_OSS, "dual-4090-5070ti"), plan_of(SMALL, "cpu-only", n_ctx=4096)]
    argvs = [_anywhere(shlex.split(omniplan.emit(plan, format="argv"))) for plan in plans]
    answers = ask([{"argv": argv} for argv in argvs])

    for argv, answer in zip(argvs, answers, strict=True):
        ours = parse(argv)
        split = tuple(part for part in answer["tensor_split"] if part)
        assert answer["accepted"]
        assert (answer["model"], answer["n_ctx"], answer["n_parallel"]) == (ours.model, ours.n_ctx, ours.n_parallel)
        assert (answer["n_batch"], answer["n_ubatch"]) == (ours.n_batch, ours.n_ubatch)
        assert (answer["n_gpu_layers"], answer["main_gpu"], split) == (
            ours.n_gpu_layers,
            ours.main_gpu,
            ours.tensor_split,
        )
        assert bool(answer["fit_params"]) == ours.fit
        assert answer["overrides"] == ",".join(f"{item.pattern}={item.buffer_type}" for item in ours.overrides)
    assert not ask([{"argv": ["--no-such-flag"]}])[0]["accepted"]


def _anywhere(argv: list[str]) -> list[str]:
    """Without the order of devices, which llama.cpp takes only where they are."""
    at = argv.index("-dev") if "-dev" in argv else len(argv)
    return [*argv[:at], *argv[at + 2 :]]


def test_llama_cpp_takes_the_presets(tmp_path: Path) -> None:
    """Two models in one file, one of them put into it later: llama.cpp's own router finds both."""
    first = launch(glm(), id="glm")
    second = launch(plan_of(GPT_OSS, "dual-4090-5070ti"), id="gpt-oss")
    text = render([second], "preset", into=render([first], "preset") + "; mine\n")
    file = tmp_path / "presets.ini"
    file.write_text(text)
    (answer,) = ask([{"preset": str(file)}])

    assert list(answer["presets"]) == ["glm", "gpt-oss"]
    assert {command.name: list(command.args) for command in preset_ini.commands(text)} == answer["presets"]
    assert effect(answer["presets"]["glm"], {}) == effect(first.argv, {})


@pytest.mark.parametrize(
    ("name", "schema"), [("llama-swap", "llama-swap"), ("compose", "compose"), ("k8s", "deployment")]
)
@pytest.mark.parametrize("machine", ["dual-4090-5070ti", "cpu-only"])
def test_yaml_is_valid_by_its_schema(name: str, schema: str, machine: str) -> None:
    """With GPUs and without, by the shapes their projects publish."""
    plan = glm() if machine != "cpu-only" else plan_of(SMALL, machine, n_ctx=4096)
    text = omniplan.emit(plan, format=name, model_path="/srv/models/a model's.gguf", ttl=600)
    rules = json.loads((DATA / "schemas" / f"{schema}.json").read_text())

    jsonschema.validate(YAML(typ="safe").load(text), rules)
    assert "GGML_CUDA_NO_VMM" not in text


def test_gpus_are_reserved_by_uuid() -> None:
    """Where the machine knows them; the order is pinned in the environment."""
    machine = omniplan.load_machine("quad-3090")
    gpus = tuple(replace(gpu, uuid=f"GPU-{at}") for at, gpu in enumerate(machine.gpus))
    plan = replace(glm("quad-3090"), machine=replace(machine, gpus=gpus), environment={"CUDA_VISIBLE_DEVICES": "GPU-1"})
    service = YAML(typ="safe").load(omniplan.emit(plan, format="compose", section="glm"))["services"]["glm"]

    assert service["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "device_ids": ["GPU-0", "GPU-1", "GPU-2", "GPU-3"], "capabilities": ["gpu"]}
    ]
    assert service["environment"]["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    assert int(service["healthcheck"]["start_period"].removesuffix("s")) >= 600


SWAP = """# my models
startPort: 9000   # mine

models:
    "first":   # a comment
        cmd: |
            llama-server -m /a.gguf

    # about glm
    glm:
        cmd: llama-server -m /old.gguf
        ttl: 5

    last: { cmd: "llama-server -m /z.gguf" }

groups:
    all: { members: ["first", "last"] }
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("section", ["glm", "new"])
def test_a_model_in_an_existing_llama_swap_file(section: str, end: str) -> None:
    """Its own lines change and a macro comes at the end; comments, order and line ends stay. Twice is the same."""
    before = SWAP.replace("\n", end)
    after = omniplan.emit(glm(), format="llama-swap", section=section, into=before)
    kept = [line for line in after.split(end) if line in SWAP.split("\n")]
    lost = {"    glm:", "        cmd: llama-server -m /old.gguf", "        ttl: 5"} if section == "glm" else set()
    names = [command.name for command in llama_swap.commands(after)]

    assert [line for line in SWAP.split("\n") if line.strip() and line not in lost] == [line for line in kept if line]
    assert names == (["first", "glm", "last"] if section == "glm" else ["first", "glm", "last", "new"])
    assert after.count("\n") == after.count(end)
    assert omniplan.emit(glm(), format="llama-swap", section=section, into=after) == after


def test_a_service_in_an_existing_compose_file() -> None:
    """After the last service, at its indentation, and in place when it is there."""
    before = "services:\n   web:\n      image: nginx\n      ports: [8080:80]\n\nvolumes: {}\n"
    after = omniplan.emit(glm(), format="compose", section="glm", into=before)

    assert after.startswith(before.removesuffix("\nvolumes: {}\n") + "   # omniplan ")
    assert "127.0.0.1:8081:8080" in after
    assert after.endswith("\n\nvolumes: {}\n")
    assert omniplan.emit(glm(), format="compose", section="glm", into=after) == after


@pytest.mark.parametrize(
    ("name", "into", "expected"),
    [
        ("compose", "services: { a: { image: b } }\n", "not a mapping in block style"),
        ("compose", "services: []\n", "not a mapping in block style"),
        ("compose", "services:\n  ? a\n  : image: b\n", "no place of its own|not YAML|line"),
        ("compose", "- a\n", "not a mapping at the top"),
        ("compose", "services:\n  a: [\n", "line 3"),
        ("llama-swap", "models:\n\tglm: {}\n", "line 2"),
        ("preset", "[a]\nnonsense\n", "line 2"),
        ("systemd", "[Unit]\n", "written whole"),
        ("models.conf", "[glm]\n[glm]\n", "lines 1 and 2"),
    ],
)
def test_files_that_take_no_section(name: str, into: str, expected: str) -> None:
    """Each is refused in one line that says where."""
    with pytest.raises(InputError, match=expected) as caught:
        omniplan.emit(glm(), format=name, section="glm", into=into, model_path="/srv/models/a.gguf")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"argv", "env"}))
def test_every_format_carries_the_environment_and_its_origin(name: str) -> None:
    """GPU order as settings or, where a format has none, in the comment; version, model, machine and reasons."""
    plan = glm()
    text = omniplan.emit(plan, format=name, model_path="/srv/models/glm.gguf")

    assert f"# omniplan {plan.version} for llama.cpp b11434: GLM-4.7-Flash on dual-4090-5070ti" in text
    assert "--ctx 131072 --cache-type-k q8_0 --cache-type-v q8_0 --json > PLAN.json" in text
    assert "CUDA_VISIBLE_DEVICES" in text
    assert f"-ts {plan.server_args[plan.server_args.index('-ts') + 1]}" in text
    if FORMATS[name].carries_environment:
        (command,) = FORMATS[name].read(text)
        assert plan.environment.items() <= command.env.items()


@pytest.mark.parametrize("name", ["shell", "models.conf", "preset", "llama-swap", "compose"])
def test_several_models_in_one_file(name: str) -> None:
    """Launches compose: one file, every model in it, in order."""
    items = [launch(glm(), id="a"), launch(glm(), id="b", model="/srv/models/other.gguf")]
    commands = FORMATS[name].read(render(items, name))

    if name == "compose":
        assert re.findall(r"1:(\d+):8080", render(items, name)) == ["8080", "8081"]
    assert len(commands) == 2
    assert [command.name for command in commands] in (["a", "b"], ["", ""])


@pytest.mark.parametrize("name", ["models.conf", "compose", "k8s"])
def test_files_beside_the_model_are_where_the_container_sees_them(name: str) -> None:
    """Every path of the command is below the folder that is mounted, which holds them all; one elsewhere is refused."""
    plan = glm()
    beside = ("-mm", "/srv/vision/mm.gguf", "-md", "/srv/models/draft.gguf", "--lora", "/srv/l/a.gguf,/srv/l/b.gguf")
    item = launch(replace(plan, server_args=(*plan.server_args, *beside)), model="/srv/models/a/b.gguf")
    command = FORMATS[name].read(render([item], name))[0]

    assert {"/models/vision/mm.gguf", "/models/models/draft.gguf", "/models/models/a/b.gguf"} <= set(command.args)
    assert "/models/l/a.gguf,/models/l/b.gguf" in command.args
    with pytest.raises(InputError, match=r"mm\.gguf: not below the models folder /srv/models"):
        render([item], name, options=Options(models_dir="/srv/models"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"format": "yaml"}, "choose one of argv, shell"),
        ({"format": "systemd", "model_path": "models/x.gguf"}, "path from /"),
        ({"format": "k8s", "model_path": "models/x.gguf"}, "path from /"),
        ({"format": "compose", "models_dir": "/elsewhere"}, "not below the models folder"),
        ({"section": "a b"}, "a name of the form"),
        ({"format": "models.conf", "section": "glm-4.7"}, "a name of the form"),
        ({"model_path": ""}, "empty"),
        ({"model_path": "a\udcff"}, "not UTF-8"),
        ({"llama_cpp": "master"}, "such as b8022"),
        ({"format": "models.conf", "llama_cpp": "b6303"}, "does not take"),
        ({"format": "env", "llama_cpp": "b8022"}, "the format shell"),
        ({"format": "preset", "model_path": "/m/a\nb.gguf"}, r"model /m/a\\nb.gguf: a value ends"),
    ],
)
def test_what_cannot_be_written_is_refused(options: dict[str, str], expected: str) -> None:
    """One line: what, and what to do instead."""
    with pytest.raises(InputError, match=expected):
        omniplan.emit(glm(), **options)  # type: ignore[arg-type]


def test_a_flag_without_a_variable_is_refused() -> None:
    """llama-server reads -tb from the command line only; one that only repeats -t needs none."""
    plan = replace(glm(), server_args=(*glm().server_args, "-tb", "8"))
    alike = replace(plan, server_args=(*plan.server_args, "-t", "8"))

    assert "LLAMA_ARG_THREADS=8" in omniplan.emit(alike, format="env")
    with pytest.raises(InputError, match="-tb: llama-server has no variable"):
        omniplan.emit(plan, format="env")


@pytest.mark.parametrize("name", ["preset", "llama-swap", "compose"])
@pytest.mark.parametrize("section", ["glm-4.7", "4.7", "true", "null"])
def test_names_with_dots_and_names_like_values(name: str, section: str) -> None:
    """Where a format takes dots; YAML must not take a name for a number."""
    text = omniplan.emit(glm(), format=name, section=section)
    (command,) = FORMATS[name].read(text)

    assert command.name == section
    assert f'"{section}":' in text or name == "preset"


@pytest.mark.parametrize("machine", sorted(shipped()))
def test_plans_of_every_machine_in_every_format(machine: str) -> None:
    """One GPU, several, some of them, none: each format writes it, and each flag is known to the build."""
    plan = plan_of(SMALL, machine, n_ctx=4096)
    for name in FORMATS:
        assert "small.gguf" in omniplan.emit(plan, format=name, model_path="/srv/models/small.gguf", section="small")
    assert takes(plan.server_args, release(11434))


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"env"}))
def test_an_older_build_in_every_format(name: str) -> None:
    """What a flag of b11434 was called before, whether it took a value there or not."""
    plan = replace(glm(), server_args=("-c", "4096", "--load-mode", "mlock"), environment={})
    text = omniplan.emit(plan, format=name, model_path="/srv/models/glm.gguf", llama_cpp="b8022")
    (command,) = FORMATS[name].read(text)

    assert {"--no-mmap", "--mlock"} <= set(command.args)


@pytest.mark.parametrize("name", ["preset", "env"])
def test_several_overrides_become_one_list(name: str) -> None:
    """Each key counts once there; where that would change which pattern wins, the plan is refused."""
    lists = ("-ot", "a=CPU", "-cmoe", "-ot", "b=CPU,c=CUDA0")
    joined = replace(glm(), server_args=("-ot", "a=CPU", "-ot", "b=CPU,c=CUDA0"), environment={})
    mixed = replace(glm(), server_args=lists, environment={})

    assert "a=CPU,b=CPU,c=CUDA0" in omniplan.emit(joined, format=name)
    with pytest.raises(InputError, match="cannot be written"):
        omniplan.emit(mixed, format=name)


STARRED = "[*]\njinja = true\nflash-attn = on\ntemp = 0.7\n\n[a]\nmodel = /m/a.gguf\n"


def test_a_preset_goes_beside_what_is_for_all() -> None:
    """``[*]`` and the others stay byte by byte; sampling stays, and a key that would change the plan is named."""
    after = omniplan.emit(glm(), format="preset", section="new", into=STARRED)
    assert after.startswith(STARRED)
    assert "[new]\n" in after
    assert omniplan.emit(glm(), format="preset", section="new", into=after) == after

    sampled = STARRED.replace("/m/a.gguf\n", "/m/a.gguf\ntop-k = 20\nctx-size = 1\n")
    replaced = omniplan.emit(glm(), format="preset", section="a", into=sampled)
    assert "top-k = 20\n" in replaced
    assert "ctx-size = 1\n" not in replaced
    with pytest.raises(omniplan.InputError, match=r"line 2: spec-draft-model = d.gguf in \[\*\]"):
        omniplan.emit(
            glm(), format="preset", section="new", into=STARRED.replace("jinja = true", "spec-draft-model = d.gguf")
        )


@pytest.mark.parametrize("mark", [">", "|", ">-"])
def test_a_block_without_a_last_line_end_is_no_obstacle(mark: str) -> None:
    """The model before says what it said."""
    before = f'models:\n  "a":\n    cmd: {mark}\n      llama-server -m a.gguf\n      --port ${{PORT}}'
    after = omniplan.emit(glm(), format="llama-swap", section="new", into=before)

    assert [command.name for command in llama_swap.commands(after)] == ["a", "new"]
    assert llama_swap.commands(after)[0].args == llama_swap.commands(before)[0].args


def test_what_an_entry_has_beside_its_command_is_kept() -> None:
    """Aliases of the replaced model stay, and nothing is written twice."""
    before = "models:\n  glm:\n    cmd: llama-server -m a\n    aliases:\n      - x\n      - y\n    proxy: http://x\n"
    after = omniplan.emit(glm(), format="llama-swap", section="glm", into=before)

    assert "    aliases:\n      - x\n      - y\n    proxy: http://x\n" in after
    assert omniplan.emit(glm(), format="llama-swap", section="glm", into=after) == after
