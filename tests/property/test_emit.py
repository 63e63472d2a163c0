"""Whatever a model is called, a format's own reader gives its name back, or the format refuses it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from ruamel.yaml import YAML

from omniplan.documents.text_file import read_text
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.formats import compose, kubernetes, llama_swap, preset_ini, systemd
from omniplan.formats import llama_swap as swap_file
from omniplan.formats.format import MODELS, Options
from omniplan.formats.launch import Launch, launch
from omniplan.formats.registry import FORMATS, effect, render
from tests.launches import DIARY, GLM, model_paths, plan_of, shell_words, started
from tests.property.strategies import examples
from tests.real_parsers import ask


def glm() -> Plan:
    return plan_of(GLM.stem, "dual-4090-5070ti")


def written(path: str, name: str) -> tuple[Launch, str] | None:
    """The launch of a model at ``path`` and its file, or None where the format refuses it in one line."""
    item = launch(glm(), model=path)
    try:
        return item, render([item], name)
    except InputError as error:
        if "\n" in str(error):
            pytest.fail(f"more than one line: {error}")
        return None


def inside(item: Launch, path: str) -> tuple[str, ...]:
    return replace(item, inside=path).argv


def expands(text: str, name: str) -> bool:
    """Whether the program would put a variable or a specifier into an argument: a sign that is not doubled."""
    if name == "systemd":
        (value,) = (line for line in text.split("\n") if line.startswith("ExecStart="))
        return bool({"$", "%"} & set(value.replace("$$", "").replace("%%", "")))
    document = YAML(typ="safe").load(text)
    if name == "k8s":
        words = document["spec"]["template"]["spec"]["containers"][0]["args"]
        return any("$(" in word.replace("$$", "") for word in words)
    words = next(iter(document["services"].values()))["command"]
    return any("$" in word.replace("$$", "") for word in words)


@given(path=model_paths())
@examples(20)
def test_shell(path: str) -> None:
    """Bash gives llama-server exactly the arguments, and no path is refused."""
    found = written(path, "shell")

    assert found
    assert shell_words(found[1]) == list(found[0].argv)


@given(path=model_paths())
@examples(30)
def test_argv(path: str) -> None:
    """xargs gives them to a program as they are, and so does a shell; only a line feed is refused."""
    found = written(path, "argv")

    assert (found is None) == ("\n" in path)
    if found:
        piped = subprocess.run(["xargs", "printf", "%s\\0"], input=found[1].encode(), capture_output=True, check=True)
        assert tuple(piped.stdout.decode().split("\0")[:-1]) == found[0].argv
        assert tuple(shlex.split(found[1])) == found[0].argv


@given(path=model_paths())
@examples(20)
def test_llama_swap(path: str) -> None:
    """Through YAML, macros and llama-swap's own splitting; only what it takes for a macro or a comment is refused."""
    found = written(path, "llama-swap")

    if found:
        (command,) = llama_swap.commands(found[1])
        assert command.args == (*swap_file.OWN, *found[0].argv)
        assert "${" not in path
        assert command.env == found[0].environment
    else:
        assert "${" in path or "\n" in path or not path.isprintable()


@given(path=model_paths())
@examples(20)
def test_compose_and_kubernetes(path: str) -> None:
    """Through YAML and the dollar signs of each; the model lies where the container sees its folder."""
    readers = (("compose", compose.commands), ("k8s", kubernetes.commands))
    for name, read in readers:
        if found := written(path, name):
            (command,) = read(found[1])
            assert command.args == inside(found[0], command.args[1])
            assert not expands(found[1], name)
            assert command.args[1].startswith(f"{MODELS}/")
            assert Path(path).name == Path(command.args[1]).name
            assert found[0].environment.items() <= command.env.items()
        else:
            assert ".." in path or (name == "k8s" and not path.startswith("/"))


@given(path=model_paths())
@examples(30)
def test_systemd(path: str) -> None:
    """By the rules of systemd.service(5), in which ``%``, ``$`` and backslashes mean something; no text is refused."""
    found = written(path, "systemd")

    assert (found is not None) == path.startswith("/")
    if found:
        (command,) = systemd.commands(found[1])
        assert command.args == found[0].argv
        assert not expands(found[1], "systemd")
        assert command.env == found[0].environment


def test_systemd_itself(tmp_path: Path) -> None:
    """systemd finds a program whose path is written by our rules: so it reads them as we do."""
    if subprocess.run(["which", "systemd-analyze"], capture_output=True, check=False).returncode:
        pytest.skip("systemd-analyze is not installed")
    # systemd takes no program with a quote, a backslash or a control character in its name, however it is written.
    names = ["plain", "a b", "per%h %%", "ü漢😀", "#;x", "{[(|&<>)]}", ",=@:+-~!*?"]
    units = []
    for at, name in enumerate(names):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        units.append(tmp_path / f"unit{at}.service")
        units[-1].write_text(f"[Service]\nExecStart={systemd.quoted(str(program))} {systemd.quoted(name)}\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )

    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == []
    assert done.returncode == 0


def test_models_conf(tmp_path: Path) -> None:
    """Bash, run in an empty folder, turns each section into the effect of the plan; what it would split is refused."""
    text = read_text(DIARY)
    items: dict[str, Launch] = {}

    @given(path=model_paths())
    @examples(30)
    def collect(path: str) -> None:
        nonlocal text
        item = launch(glm(), model=path, id=f"drawn-{len(items)}")
        try:
            text = render([item], "models.conf", into=text)
        except InputError:
            return
        items[item.id] = item

    collect()
    conf = tmp_path / "models.conf"
    conf.write_bytes(text.encode())
    (tmp_path / "empty").mkdir()
    found = started(conf, tmp_path / "empty")
    assert len(items) > 5
    for id, item in items.items():
        assert not set(Path(item.model).name) & set("'\"$`*?[ \t\n"), "Compose's .env or a pattern would change it"
        prepared = FORMATS["models.conf"].prepare(item, Options())
        assert effect(found[id], {}) == effect(("-m", prepared.inside, *item.args), {})


def test_preset(tmp_path: Path) -> None:
    """llama.cpp's own preset parser gives every model its arguments back, and agrees with our reader."""
    items: list[Launch] = []

    @given(path=model_paths())
    @examples(30)
    def collect(path: str) -> None:
        item = launch(glm(), model=path, id=f"drawn-{len(items)}")
        try:
            render([item], "preset")
        except InputError:
            assert set(path) & set(";#\r\n") or path != path.strip(" \t")
            return
        items.append(item)

    collect()
    file = tmp_path / "presets.ini"
    file.write_bytes(render(items, "preset").encode())
    (answer,) = ask([{"preset": str(file)}])
    ours = {command.name: list(command.args) for command in preset_ini.commands(read_text(file))}
    assert answer["presets"] == ours
    for item in items:
        assert effect(ours[item.id], {}) == effect(item.argv, {})


@given(path=model_paths())
@examples(30)
def test_env(path: str) -> None:
    """As bash sources it, the variables have the effect of the arguments; a quote or a line's end is refused."""
    found = written(path, "env")

    if found is None:
        assert set(path) & set("'\n\r")
        return
    names = [line.partition("=")[0] for line in found[1].splitlines() if line.startswith(("LLAMA_", "CUDA_"))]
    values = dict(zip(names, _sourced(found[1], names), strict=True))
    assert effect((), values) == effect(found[0].argv, {})


def _sourced(text: str, names: Sequence[str]) -> list[str]:
    script = f"set -a\n{text}\nprintf '%s\\0' " + " ".join(f'"${{{name}}}"' for name in names)
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]
