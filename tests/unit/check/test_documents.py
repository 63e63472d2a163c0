"""What a file is, told by its name or its text, and how much of it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from omniplan.check.document import read
from omniplan.check.kinds import FileKind, kind_of
from omniplan.check.text import check_screen
from omniplan.errors import InputError
from tests.screens import everything


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("models.conf", "", FileKind.MODELS_CONF),
        ("profiles", "# glm\n[glm]\nNAME=x\nMODEL=a.gguf\n", FileKind.MODELS_CONF),
        ("start", "#!/bin/bash\nMODEL=a.gguf\nif [ x ]\nllama-server -m $MODEL\n", FileKind.SHELL),
        ("start", "MODEL=a.gguf\nllama-server -m $MODEL\n", FileKind.SHELL),
        ("a.ini", "[a]\nctx-size = 8\n", FileKind.PRESET),
        ("php.ini", "[PHP]\nengine = On\n", FileKind.TEXT),
        ("a.ini", "[program:a]\ncommand=b\n", FileKind.SUPERVISOR),
        ("presets", "[a]\nmodel = a.gguf\n", FileKind.PRESET),
        (".env.local", "", FileKind.ENV),
        ("docker-compose.yml", "version: 3\nservices:\n", FileKind.COMPOSE),
        ("config.yaml", "healthCheckTimeout: 9\nmodels:\n", FileKind.LLAMA_SWAP),
        ("x.yaml", "apiVersion: apps/v1\nkind: Deployment\n", FileKind.KUBERNETES),
        ("llama.service", "", FileKind.SYSTEMD),
        ("Dockerfile.cuda", "", FileKind.BUILD),
        ("out.txt", "ggml_cuda_init: found 2 CUDA devices:\n", FileKind.LOG),
        ("args", "-m\na.gguf\n", FileKind.ARGV),
        ("anything", "", FileKind.SHELL),
    ],
)
def test_kinds(name: str, text: str, kind: FileKind) -> None:
    """A name that says it wins; a text that says it comes next."""
    assert kind_of(f"/some/where/{name}", text) is kind


def test_defaults_of_variables_count() -> None:
    """What a variable is when nobody sets it; one without a default stays open."""
    command = read("a.sh", "llama-server -c ${CTX:-8192} -ngl ${NGL} -ts ${TS:-}\n").commands[0]

    assert command.args == ("-c", "8192", "-ngl", "${NGL}", "-ts", "${TS:-}")


def test_nothing_is_computed_of_what_is_open(tmp_path: Path) -> None:
    """With a variable for the layers no byte is certain, and no rule pretends."""
    path = tmp_path / "run.sh"
    text = "llama-server -m a -c 4096 -np 1 --fit off -ngl {}\n"
    model, machine = "data/models/GLM-4.7-Flash-Q8_0.gguf", "single-3090"

    path.write_text(text.format("99"))
    assert omniplan.check(path, model=model, machine=machine).of("does-not-fit")
    path.write_text(text.format("$NGL"))
    assert omniplan.check(path, model=model, machine=machine).is_clean


def test_findings_stand_where_their_words_do(tmp_path: Path) -> None:
    """The line of the argument, and the section it belongs to."""
    path = tmp_path / "models.conf"
    path.write_text("[a]\nMODEL=a\n\n[b]\nMODEL=b\nCTX_SIZE=4096\nEXTRA_ARGS=-b 1024 -ub 1024\n")

    (finding,) = omniplan.check(path).of("batch-equals-ubatch")

    assert (finding.command, finding.line) == ("b", 7)


def test_a_mark_of_byte_order_hides_nothing() -> None:
    """Editors on Windows write one: the command behind it is read all the same."""
    (command,) = read("run", "\ufeffllama-server -m a.gguf -c 8k\r\n").commands

    assert command.args == ("-m", "a.gguf", "-c", "8k")


def test_a_binary_is_no_clean_file(tmp_path: Path) -> None:
    """A file of other bytes is refused; one of text without a command says that there is none."""
    (tmp_path / "model.sh").write_bytes(b"GGUF\0\0\0\3")
    (tmp_path / "notes").write_text("we tried a few servers\n", encoding="utf-8")

    with pytest.raises(InputError, match="NUL"):
        omniplan.check(tmp_path / "model.sh")
    assert "no llama-server command in it" in everything(check_screen(omniplan.check(tmp_path / "notes")))


@pytest.mark.parametrize("args", [["--ctx-size=8192"], ["-c", "99999999999"]])
def test_a_refused_context_is_not_a_missing_one(args: list[str]) -> None:
    """One finding, the flag's own."""
    found = omniplan.check(["-m", "a.gguf", "-np", "1", *args]).findings

    assert [item.line for item in found] == [3]


def test_only_flags_that_are_near_are_offered() -> None:
    """``--foo`` is no misspelt ``--tools``."""
    near, far = omniplan.check(["-c", "512", "-np", "1", "--n-gpu-layer", "9", "--foo"]).findings

    assert near.fix == "did you mean --n-gpu-layers?"
    assert "did you mean" not in far.fix
