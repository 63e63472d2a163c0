"""Asks a llama-fit-params binary, on the devices that are really there: ``-fitp on`` prices without loading."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from omniplan.certify.measure import Refused
from omniplan.certify.sparse import complete_file
from omniplan.certify.values import Tally
from omniplan.domain.footprint import BufferSize
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import KvOverride, ServerParams
from omniplan.errors import InputError
from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.buffers import HOST
from omniplan.llamacpp.load.footprint import footprint
from omniplan.units import MIB

PROGRAM: Final = "llama-fit-params"
_LINE: Final = re.compile(r"^(\S+) (\d+) (\d+) (\d+) *$", re.MULTILINE)
_KINDS: Final = {bool: "bool", int: "int", float: "float", str: "str"}
NOTES: Final = (
    "both with logits for a whole batch, as llama-fit-params reserves them; llama-server takes a row a slot",
    "weights on the CPU are counted as not repacked: the tool leaves CPU_REPACK out of its Host line",
)


def find(given: str | None) -> str | None:
    """The binary that was named, or the one on PATH; raises InputError when the named one cannot be run."""
    found = shutil.which(given or PROGRAM)
    if given and not found:
        raise InputError(f"{given}: is not a program that can be run; name a {PROGRAM} of llama.cpp's release")
    return found


def price(binary: str, model: Model, machine: Machine, params: ServerParams, *, timeout: float) -> tuple[Tally, Tally]:
    """The plan's bytes and the binary's, both by device and as the tool counts, in a fraction of a second.

    The tool prints whole MiB, rounded down. Raises InputError when it cannot be asked, when its devices are not the
    machine's or it takes longer than ``timeout`` seconds, and Refused when llama.cpp does not take the arguments.
    """
    if params.is_kv_unified and params.n_seq_max > 1:
        raise InputError(f"--kv-unified: {PROGRAM} does not know it; certify on simulated GPUs, or plan with -np N")
    with tempfile.TemporaryDirectory(prefix="omniplan-") as folder:
        path = complete_file(model.header, Path(folder))
        told = _run([binary, "-m", str(path), *arguments(params, model)], dict(params.env), timeout)
    counted = {
        name: BufferSize(model=int(a) * MIB, context=int(b) * MIB, compute=int(c) * MIB)
        for name, a, b, c in _LINE.findall(told)
    }
    if HOST not in counted:
        raise InputError(f"{binary}: printed no '{HOST}' line; is it a {PROGRAM} that knows -fitp?")
    as_tool = footprint(
        model, machine, replace(params, embedding=True, pooling="none", fit=False, repack=False), no_alloc=True
    )
    planned = dict(_by_device(as_tool.buffers))
    if set(planned) != set(counted):
        raise InputError(
            f"{binary}: its devices are {_names(counted)}, the plan's are {_names(planned)}; run it on the machine the "
            "plan is for, set CUDA_VISIBLE_DEVICES, or certify on simulated GPUs"
        )
    return Tally(buffers=planned), Tally(buffers=counted)


def arguments(params: ServerParams, model: Model) -> tuple[str, ...]:
    """What decides about memory, in words that llama-fit-params knows, every default spelled out."""
    n_ctx = params.n_ctx_asked or model.hparams.n_ctx_train
    args = ["-c", str(n_ctx), "-np", str(params.n_seq_max), "-b", str(params.n_batch), "-ub", str(params.n_ubatch)]
    args += ["-fa", params.flash_attn, "-ctk", params.cache_type_k, "-ctv", params.cache_type_v]
    args += ["-ngl", str(params.n_gpu_layers), "-sm", params.split_mode, "-mg", str(params.main_gpu)]
    return (*args, *_optional(params), "--no-repack", "-fitp", "on")


def _optional(params: ServerParams) -> Iterator[str]:
    if params.tensor_split:
        yield from ("-ts", ",".join(map(repr, params.tensor_split)))
    if params.devices is not None:
        yield from ("-dev", ",".join(params.devices) or "none")
    for override in params.overrides:
        yield from ("-ot", f"{override.pattern}={override.buffer_type}")
    for kv in params.override_kv:
        yield from ("--override-kv", _kv_text(kv))
    switches = {
        "-nkvo": not params.offload_kqv,
        "--no-op-offload": not params.op_offload,
        "--swa-full": params.swa_full,
        "--no-host": params.no_host,
    }
    yield from (flag for flag, is_on in switches.items() if is_on)


def _kv_text(kv: KvOverride) -> str:
    value = str(kv.value).lower() if isinstance(kv.value, bool) else str(kv.value)
    return f"{kv.key}={_KINDS[type(kv.value)]}:{value}"


def _run(command: list[str], env: Mapping[str, str], timeout: float) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
            env={**os.environ, **env},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{command[0]}: no answer within {timeout:g} s; allow more") from error
    except OSError as error:
        raise InputError(f"{command[0]}: cannot be run: {error}") from error
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise Refused(f"{PROGRAM} ends with {done.returncode}: {lines[-1] if lines else 'no reason given'}")
    return done.stdout


def _by_device(sizes: Mapping[str, BufferSize]) -> Iterator[tuple[str, BufferSize]]:
    """Buffers as the tool adds them up: all host memory in one line."""
    for name, size in sizes.items():
        if not buffers.is_host(name):
            yield name, size
    host = [size for name, size in sizes.items() if buffers.is_host(name)]
    columns = ((size.model, size.context, size.compute) for size in host)
    model, context, compute = (sum(column) for column in zip((0, 0, 0), *columns, strict=True))
    yield HOST, BufferSize(model=model, context=context, compute=compute)


def _names(tally: Mapping[str, BufferSize]) -> str:
    return ", ".join(name for name in tally if name != HOST) or "none"
