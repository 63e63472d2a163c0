"""The argument and preset parsers of a real llama.cpp, those inside the wheel of xllamacpp, called in a process apart.

The wheel exports them as C++ functions of an older ABI, where a string is one pointer to text with its length 24 bytes
before. A parser that refuses a preset throws, which ends the process: so each question may end it.
"""

from __future__ import annotations

import ctypes
import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest

# common/common.h: LLAMA_EXAMPLE_SERVER.
_SERVER: Final = 12
_OBJECT_HEAD: Final = 16
_FIELDS: Final = (
    "n_ctx n_batch n_ubatch n_parallel n_gpu_layers main_gpu flash_attn_type cache_type_k cache_type_v split_mode "
    "fit_params fit_params_min_ctx cache_ram_mib no_kv_offload load_mode"
).split()


def ask(questions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers of the parsers to ``{"argv": [...]}`` and ``{"preset": PATH}``; a crash is an error of the test."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("the wheel's C++ functions are called by the rules of Linux on x86-64")
    done = subprocess.run(
        [sys.executable, "-m", "tests.real_parsers"],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[dict[str, Any]] = json.loads(done.stdout.rpartition("\n@")[2])
    return answers


def _main() -> None:
    import xllamacpp

    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    answers = [
        _preset(library, item["preset"]) if "preset" in item else _argv(library, xllamacpp.CommonParams(), item["argv"])
        for item in json.load(sys.stdin)
    ]
    print(f"\n@{json.dumps(answers)}", flush=True)


def _argv(library: ctypes.CDLL, params: Any, argv: Sequence[str]) -> dict[str, Any]:
    """Whether llama-server takes ``argv``, and what it then holds in ``common_params``."""
    parse = library["_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"]
    parse.restype = ctypes.c_bool
    words = [b"llama-server", *(word.encode() for word in argv)]
    array = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    address = ctypes.c_void_p(id(params) + _OBJECT_HEAD)
    accepted = bool(parse(len(words), array, address, _SERVER, None))
    values = {name: int(getattr(params, name)) for name in _FIELDS}
    return {
        "accepted": accepted,
        **values,
        "model": params.model.path,
        "tensor_split": [float(part) for part in params.tensor_split],
        "n_threads": [params.cpuparams.n_threads, params.cpuparams_batch.n_threads],
        "overrides": str(params.tensor_buft_overrides),
    }


def _preset(library: ctypes.CDLL, path: str) -> dict[str, Any]:
    """Arguments of each preset in the file at ``path``, as the router gives them to a child."""
    context = ctypes.create_string_buffer(1 << 20)
    library["_ZN21common_preset_contextC1E13llama_example"](context, _SERVER)
    shared = _Preset()
    shared.name = _string("")
    for at in (shared.header, found := (ctypes.c_uint64 * 6)()):
        base = ctypes.addressof(at)
        at[2], at[3], at[4] = 0, base + 8, base + 8
    # std::filesystem::path of the C++17 library: its text, and 3 for a path of one piece.
    location = (ctypes.c_uint64 * 2)(_string(path), 3)
    load = library["_ZNK21common_preset_context13load_from_iniERKNSt10filesystem4pathER13common_preset"]
    load(found, context, location, ctypes.byref(shared))
    to_args = library["_ZNK13common_preset7to_argsERKSs"]
    presets = {}
    for node in _nodes(found):
        vector = (ctypes.c_uint64 * 3)()
        empty = ctypes.c_uint64(_string(""))
        to_args(vector, ctypes.c_void_p(node + 40), ctypes.byref(empty))
        presets[_text(node + 32)] = [_text(at) for at in range(vector[0], vector[1], 8)]
    return {"presets": presets}


class _Preset(ctypes.Structure):
    """``common_preset``: a name and a ``std::map``."""

    _fields_ = (("name", ctypes.c_uint64), ("header", ctypes.c_uint64 * 6))


_KEPT: Final[list[Any]] = []


def _string(text: str) -> int:
    """The one pointer that a string is: length, capacity and a count of owners stand before the text."""
    data = text.encode()
    buffer = ctypes.create_string_buffer(24 + len(data) + 1)
    head = (ctypes.c_int64 * 3)(len(data), len(data), 1 << 20)
    ctypes.memmove(buffer, head, 24)
    ctypes.memmove(ctypes.addressof(buffer) + 24, data, len(data))
    _KEPT.append(buffer)
    return ctypes.addressof(buffer) + 24


def _word(address: int) -> int:
    return int(ctypes.c_uint64.from_address(address).value)


def _text(address: int) -> str:
    start = _word(address)
    return ctypes.string_at(start, _word(start - 24)).decode()


def _nodes(tree: Any) -> Iterator[int]:
    """Nodes of a ``std::map`` in order."""

    def below(node: int) -> Iterator[int]:
        if node:
            yield from below(_word(node + 16))
            yield node
            yield from below(_word(node + 24))

    yield from below(int(tree[2]))


if __name__ == "__main__":
    _main()
