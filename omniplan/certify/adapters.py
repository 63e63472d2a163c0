"""Adapters and control vectors as llama-server sets them on a context that is there (common_init_from_params)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from omniplan.certify.job import Job
from omniplan.certify.parameters import Structs
from omniplan.certify.values import printed
from omniplan.domain.footprint import BufferSize
from omniplan.llamacpp.flags.args import parse

_SIZE: Final = re.compile(r"llama_adapter_lora_init_impl: +(\S+) LoRA buffer size = +([\d.]+) MiB")


def adapt(structs: Structs, job: Job, loaded: Any, context: Any) -> None:
    """Load and apply what the job's arguments name, and reserve again; nothing where llama.cpp only measures."""
    ffi, lib, params = structs.ffi, structs.lib, parse(job.main.args, env=job.main.env)
    if job.no_alloc or not (job.adapters or params.control_vectors):
        return
    if params.control_vectors:
        n_embd, n_layer = lib.llama_model_n_embd(loaded), lib.llama_model_n_layer(loaded)
        rows = ffi.new("float[]", n_embd * (n_layer - 1))
        lib.llama_set_adapter_cvec(context, rows, len(rows), n_embd, 1, n_layer)
    held = [lib.llama_adapter_lora_init(loaded, path.encode()) for path in job.adapters]
    if held and not params.lora_init_without_apply:
        scales = ffi.new("float[]", [file.scale for file in params.adapters])
        lib.llama_set_adapters_lora(context, ffi.new("void *[]", held), len(held), scales)
    lib._ZN13llama_context13sched_reserveEv(context)


def adapter_sizes(log: str) -> Mapping[str, BufferSize]:
    """Bytes per buffer type of all adapters, as precise as they are printed."""
    found: dict[str, float] = {}
    for name, size in _SIZE.findall(log):
        found[name] = found.get(name, 0.0) + float(size)
    return {name: BufferSize(model=printed(size)) for name, size in found.items()}
