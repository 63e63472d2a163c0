"""What a file is, told by its name or its text, and how much of it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from omniplan.audit.check.document import Kind, kind_of, read


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("models.conf", "", Kind.MODELS_CONF),
        ("profiles", "# glm\n[glm]\nNAME=x\nMODEL=a.gguf\n", Kind.MODELS_CONF),
        ("start", "#!/bin/bash\nMODEL=a.gguf\nif [ x ]\nllama-server -m $MODEL\n", Kind.SHELL),
        ("start", "MODEL=a.gguf\nllama-server -m $MODEL\n", Kind.SHELL),
        ("a.ini", "", Kind.PRESET),
        ("presets", "[a]\nmodel = a.gguf\n", Kind.PRESET),
        (".env.local", "", Kind.ENV),
        ("docker-compose.yml", "version: 3\nservices:\n", Kind.COMPOSE),
        ("config.yaml", "healthCheckTimeout: 9\nmodels:\n", Kind.LLAMA_SWAP),
        ("x.yaml", "apiVersion: apps/v1\nkind: Deployment\n", Kind.KUBERNETES),
        ("llama.service", "", Kind.SYSTEMD),
        ("Dockerfile.cuda", "", Kind.BUILD),
        ("out.txt", "ggml_cuda_init: found 2 CUDA devices:\n", Kind.LOG),
        ("args", "-m\na.gguf\n", Kind.ARGV),
        ("anything", "", Kind.SHELL),
    ],
)
def test_kinds(name: str, text: str, kind: Kind) -> None:
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
