"""Asks a build of llama.cpp what llama-quantize would do with headers, and writes digests of its answers.

python benchmarks/quantize_oracle.py FOLDER_WITH_LIBLLAMA HEADER.gguf ... > tests/data/oracle/quantize.jsonl

The library's own dry run reads no tensor data, so a header-only file made as long as the whole one will do: the missing
part is a hole. Needs shared libraries: cmake -DBUILD_SHARED_LIBS=ON -DLLAMA_BUILD_COMMON=OFF, target llama.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import omniplan
from omniplan.llamacpp.quant.table import quantize_rules

# name, imatrix, pure: the ways in which every mix is asked for.
WAYS = {"plain": (False, False), "imatrix": (True, False), "pure": (False, True)}
_LINE = re.compile(r"\] (\S+) +- \[[^\]]*\], type = +(\S+), size = +[\d.]+ MiB(?: -> +[\d.]+ MiB \((\S+)\))?")
_FLAGS = ("allow_requantize", "quantize_output_tensor", "only_copy", "pure", "keep_split", "dry_run")
_POINTERS = ("imatrix", "kv_overrides", "tt_overrides", "prune_layers")


class Params(ctypes.Structure):
    """``llama_model_quantize_params`` of b11434."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("nthread", "ftype", "output_tensor_type", "token_embedding_type")),
        *((name, ctypes.c_bool) for name in _FLAGS),
        *((name, ctypes.c_void_p) for name in _POINTERS),
        ("max_buf_size", ctypes.c_size_t),
    ]


class Matrix(ctypes.Structure):
    """``llama_model_imatrix_data``."""

    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def digest(types: dict[str, str]) -> str:
    """Eight digits that stand for the type of every tensor."""
    return sha256("\n".join(f"{name} {types[name]}" for name in sorted(types)).encode()).hexdigest()[:8]


def asker(folder: Path) -> Callable[[Path, int, bool, bool], dict[str, str]]:
    """A function that asks the libraries in ``folder`` for the type of every tensor; empty where they give up."""
    for name in ("libggml-base.so", "libggml-cpu.so", "libggml.so"):
        ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(folder / "libllama.so"), mode=ctypes.RTLD_GLOBAL)
    library.llama_model_quantize_default_params.restype = Params
    log: list[str] = []
    callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    keep = callback(lambda _level, text, _user: log.append(text.decode(errors="replace")))
    library.llama_log_set(keep, None)
    value = (ctypes.c_float * 1)(1.0)
    matrix = (Matrix * 2)(Matrix(b"any", ctypes.addressof(value), 1), Matrix(None, None, 0))

    def ask(path: Path, ftype: int, imatrix: bool, pure: bool) -> dict[str, str]:
        log.clear()
        params = library.llama_model_quantize_default_params()
        params.ftype, params.dry_run, params.allow_requantize, params.pure = ftype, True, True, pure
        if imatrix:
            params.imatrix = ctypes.addressof(matrix)
        failed = library.llama_model_quantize(os.fsencode(path), b"unused.gguf", ctypes.byref(params))
        return {} if failed else {match[1]: match[3] or match[2] for match in _LINE.finditer("".join(log))}

    # The library calls it for as long as it lives.
    ask.keep = keep  # type: ignore[attr-defined]
    return ask


def main() -> None:
    ask = asker(Path(sys.argv[1]))
    print(json.dumps({"quants": list(quantize_rules().mixes)}))
    with tempfile.TemporaryDirectory() as folder:
        for given in map(Path, sys.argv[2:]):
            path = Path(folder) / given.name
            shutil.copyfile(given, path)
            os.truncate(path, omniplan.read_header(given).file_bytes)
            rows = {
                way: " ".join(digest(ask(path, mix.id, *how)) for mix in quantize_rules().mixes.values())
                for way, how in WAYS.items()
            }
            print(json.dumps({"file": given.name, **rows}))
            path.unlink()


if __name__ == "__main__":
    main()
