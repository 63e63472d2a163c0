"""Diffs that ``patch`` takes, and that change what they say and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path
from time import process_time

import pytest

import omniplan
from omniplan.check.document import read
from omniplan.check.engine import check
from omniplan.check.kinds import FileKind
from tests.oracle import cases

SWAP = """\
models:
  one:
    cmd: |
      llama-server --port ${PORT}
      -m a.gguf -c 8k
      -fa -ctk q8_0 -ctv q8_0
"""
COMPOSE = """\
services:
  one:
    image: ghcr.io/ggml-org/llama.cpp:server-cuda
    command:
      - -m
      - a.gguf
      - -c
      - "8k"
      - --sm
      - none
      - -ts
      - "3,1"
      - --no-mmap
"""


FOLDED = """\
services:
  one:
    command: >
      llama-server -m a
      -c 8k --flash-attn
"""


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("run.sh", "llama-server -m a -c 8k  # 8k\n", "llama-server -m a -c 8192  # 8k\n"),
        ("run.sh", "llama-server -m a -c 512 \\\n  -b 2048 -ub 1k \\\n  -fa\n",
         "llama-server -m a -c 512 \\\n  -b 2048 -ub 1024 \\\n  -fa on\n"),
        ("run.sh", "llama-server -sm none -ts 3,1 -c 512 --no-mmap", "llama-server -sm none -c 512 --load-mode none"),
        ("run.sh", "llama-server --mlock -c 512 --no-mmap\n", "llama-server --load-mode mlock -c 512\n"),
        ("run.sh", "llama-server --mlock -c 512\n", "llama-server --load-mode mmap+mlock -c 512\n"),
        ("run.sh", "llama-server -sm none \\\n  -ts 3,1 \\\n  -c 512\n", "llama-server -sm none \\\n  -c 512\n"),
        ("models.conf", "[a]\r\nMODEL=a\r\nFIT=on # yes\r\n", "[a]\r\nMODEL=a\r\nFIT=on\r\n"),
        ("models.conf", "[a]\nMODEL=a\nEXTRA_ARGS=-ub 1k -b 4k\n", "[a]\nMODEL=a\nEXTRA_ARGS=-ub 1024 -b 4096\n"),
        ("p.ini", "[a]\nmodel = a\nctx-size = 8k\n", "[a]\nmodel = a\nctx-size = 8192\n"),
        ("p.ini", "[a]\nmodel = a\nctx-size = 512\nsplit-mode = none\ntensor-split = 3,1\n",
         "[a]\nmodel = a\nctx-size = 512\nsplit-mode = none\n"),
        ("a.yaml", SWAP, SWAP.replace("8k", "8192").replace("-fa", "-fa on")),
        ("a.yaml", COMPOSE, COMPOSE.replace("8k", "8192").replace("--no-mmap", '--load-mode\n      - "none"')),
        ("a.yaml", FOLDED, FOLDED.replace("8k", "8192").replace("--flash-attn", "--flash-attn on")),
    ],
)  # fmt: skip
def test_patch_applies_the_diff(name: str, before: str, after: str, tmp_path: Path) -> None:
    """The real ``patch`` program makes of the file what is expected."""
    path = tmp_path / name
    path.write_bytes(before.encode())
    diff = omniplan.check(path).diff

    subprocess.run(["patch", "--binary", "-s", str(path)], input=diff.encode(), cwd=tmp_path, check=True)

    assert path.read_bytes().decode() == after


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        ("context-unset", "run.sh", "llama-server -m a\n"),
        ("ngl-with-fit", "run.sh", "llama-server -m a -c 512 -ngl 49\n"),
        ("ngl-with-fit", "models.conf", "[a]\nMODEL=a\nN_GPU_LAYERS=99\n"),
        ("overrides-with-fit", "run.sh", "llama-server -m a -c 512 --fit on -ot exps=CPU\n"),
        ("batch-equals-ubatch", "run.sh", "llama-server -m a -c 512 -b 4096 -ub 4096\n"),
        ("override-bare-dot", "run.sh", "llama-server -m a -c 512 -ot 'blk.1.=CPU'\n"),
        ("override-bare-dot", "run.sh", "llama-server -m a -c 512 -ot 'blk.(0|1).ffn.=CUDA0'\n"),
        ("v-cache-needs-flash-attention", "run.sh", "llama-server -m a -c 512 -fa off -ctv q8_0\n"),
        ("cuda-no-vmm", "Dockerfile", "RUN cmake -DGGML_CUDA_NO_VMM=ON .\n"),
        ("image-fixes-gpu-layers", "Dockerfile", "FROM x\nENV N_GPU_LAYERS=99\n"),
    ],
)
def test_a_decision_is_left(rule: str, name: str, text: str, tmp_path: Path) -> None:
    """What llama.cpp takes as it is written has a finding at most: which of two things was meant is not known here."""
    (tmp_path / name).write_text(text)
    report = omniplan.check(tmp_path / name)

    assert report.of(rule)
    assert report.diff == ""


def test_what_would_no_longer_fit_is_left(tmp_path: Path) -> None:
    """What was meant fits no more, or is slower: a finding, and the file as it is."""
    conf = "[a]\nMODEL=a\nN_GPU_LAYERS=99\nFIT=off\nCTX_SIZE = 16384\nEXTRA_ARGS=-np 1\n"
    for name, text, rule in (
        ("run.sh", "llama-server -m a -c 1024k -np 1 -ngl 99 --fit off\n", "number-with-suffix"),
        ("models.conf", conf.replace("16384", "1048576"), "conf-blanks-around-equals"),
    ):
        (tmp_path / name).write_text(text)
        report = omniplan.check(tmp_path / name, model=cases.model("Qwen3-8B-Q4_K_M"), machine="single-3090")

        assert report.of(rule)
        assert report.diff == ""

    (tmp_path / "models.conf").write_text(conf)
    assert omniplan.check(tmp_path / "models.conf", model=cases.model("Qwen3-8B-Q4_K_M"), machine="single-3090").diff


def test_a_macro_is_mended_where_it_stands(tmp_path: Path) -> None:
    """What two models take from one macro is one finding and one edit; what only one may take so is left."""
    path = tmp_path / "a.yaml"
    text = 'macros:\n  ctx: "8k"\nmodels:\n  one:\n    cmd: llama-server -m a -c ${ctx}\n'
    path.write_text(text + "  two:\n    cmd: llama-server -m b -c ${ctx}\n")
    report = omniplan.check(path)
    (finding,) = report.of("number-with-suffix")

    assert (finding.line, finding.places) == (2, 2)
    assert '+  ctx: "8192"' in report.diff
    path.write_text(text + "  two:\n    cmd: llama-server -m b -c 8 --alias ${ctx}\n")
    assert omniplan.check(path).diff == ""


def test_a_file_of_many_commands_takes_no_time_each() -> None:
    """Edits are read back together: 300 commands are a few readings, not one an edit."""
    text = "llama-server -m a.gguf -np 1 -c 8k\n" * 300
    document = read("many.sh", text, FileKind.SHELL)
    begun = process_time()
    report = check(document, model=None, machine=None, only={"number-with-suffix"})

    assert report.diff.count("\n+llama-server -m a.gguf -np 1 -c 8192") == 300
    assert process_time() - begun < 5
