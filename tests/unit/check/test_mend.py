"""Diffs that ``patch`` takes, and that change what they say and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path
from time import process_time

import pytest

import omniplan
from omniplan.check.document import FileKind, read
from omniplan.check.engine import check

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
        ("run.sh", "llama-server -m a -c 512 \\\n  -b 2048 -ub 2048 \\\n  -fa\n",
         "llama-server -m a -c 512 \\\n  -b 2048 -ub 512 \\\n  -fa on\n"),
        ("run.sh", "llama-server -sm none -ts 3,1 -c 512 --no-mmap", "llama-server -sm none -c 512 --load-mode none"),
        ("run.sh", "llama-server --mlock -c 512 --no-mmap\n", "llama-server --load-mode mlock -c 512\n"),
        ("run.sh", "llama-server --mlock -c 512\n", "llama-server --load-mode mmap+mlock -c 512\n"),
        ("run.sh", "llama-server -sm none \\\n  -ts 3,1 \\\n  -c 512\n", "llama-server -sm none \\\n  -c 512\n"),
        ("run.sh", "llama-server -c 512 -ot 'blk.1.=CPU'\n", "llama-server -c 512 -ot 'blk\\.1\\.=CPU'\n"),
        ("models.conf", "[a]\r\nMODEL=a\r\nFIT=on # yes\r\n", "[a]\r\nMODEL=a\r\nFIT=on\r\n"),
        ("models.conf", "[a]\nMODEL=a\nN_GPU_LAYERS=99\n", "[a]\nMODEL=a\nN_GPU_LAYERS=auto\n"),
        ("models.conf", "[a]\nMODEL=a\nEXTRA_ARGS=-ub 1024 -b 1024\n", "[a]\nMODEL=a\nEXTRA_ARGS=-ub 512 -b 1024\n"),
        ("p.ini", "[a]\nmodel = a\nctx-size = 8k\n", "[a]\nmodel = a\nctx-size = 8192\n"),
        ("p.ini", "[a]\nmodel = a\nctx-size = 512\nsplit-mode = none\ntensor-split = 3,1\n",
         "[a]\nmodel = a\nctx-size = 512\nsplit-mode = none\n"),
        ("a.yaml", SWAP, SWAP.replace("8k", "8192").replace("-fa", "-fa on")),
        ("a.yaml", COMPOSE, COMPOSE.replace("8k", "8192")),
        ("a.yaml", FOLDED, FOLDED.replace("8k", "8192").replace("--flash-attn", "--flash-attn on")),
        ("Dockerfile", "RUN cmake -DGGML_CUDA_NO_VMM=ON .\n", "RUN cmake -DGGML_CUDA_NO_VMM=OFF .\n"),
    ],
)  # fmt: skip
def test_patch_applies_the_diff(name: str, before: str, after: str, tmp_path: Path) -> None:
    """The real ``patch`` program makes of the file what is expected."""
    path = tmp_path / name
    path.write_bytes(before.encode())
    diff = omniplan.check(path).diff

    subprocess.run(["patch", "--binary", "-s", str(path)], input=diff.encode(), cwd=tmp_path, check=True)

    assert path.read_bytes().decode() == after


def test_nothing_to_mend_is_no_diff() -> None:
    """A finding that needs a decision leaves the file alone."""
    report = omniplan.check(["-m", "a.gguf"])

    assert report.of("context-unset")
    assert report.diff == ""


def test_what_cannot_be_told_apart_is_left(tmp_path: Path) -> None:
    """A value that comes out of a macro is not edited where it is used, nor anything else in its stead."""
    path = tmp_path / "a.yaml"
    path.write_text('macros:\n  ctx: "-c 8k"\nmodels:\n  one:\n    cmd: llama-server -m a ${ctx}\n')
    report = omniplan.check(path)

    assert report.of("number-with-suffix")
    assert report.diff == ""


def test_a_file_of_many_commands_takes_no_time_each() -> None:
    """Edits are read back together: 300 commands are a few readings, not one an edit."""
    text = "llama-server -m a.gguf -np 1 -c 8k\n" * 300
    document = read("many.sh", text, FileKind.SHELL)
    begun = process_time()
    report = check(document, model=None, machine=None, only={"number-with-suffix"})

    assert report.diff.count("\n+llama-server -m a.gguf -np 1 -c 8192") == 300
    assert process_time() - begun < 5
