"""Launch lines in every engine's own words; directories of weights that are not at hand are named after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import Final

from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.engines.layout import Laid
from omniplan.engines.table import WayRow
from omniplan.engines.values import EngineCommand
from omniplan.llamacpp.ggml import buffers

# Of a plan's arguments, those ik_llama.cpp spells and means the same (its docs/parameters.md).
_SHARED: Final = ("-c", "-np", "-ub", "-ngl", "-sm", "-mg", "-dev", "-ts", "-ot", "-t", "-tb", "-ctk", "-ctv")
_TRITON: Final = ("--attention-backend", "triton", "--fp8-gemm-backend", "triton")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a launch line is made from; ``laid`` for engines with a layout of their own, ``plan`` for llama.cpp's."""

    way: WayRow
    model: Model
    machine: Machine
    n_ctx: int
    laid: Laid | None = None
    plan: Plan | None = None
    is_sm_120: bool = False

    @property
    def path(self) -> str:
        """The GGUF file."""
        return self.model.header.paths[0]

    @property
    def cores(self) -> str:
        """Physical cores, the number of threads for experts; "0" when unknown."""
        return str(self.machine.cpu.n_cores if self.machine.cpu else 0)

    def weights(self, kind: str) -> str:
        """A directory for the weights of a format, named after the model."""
        return f"{'-'.join(self.model.title.split())}-{kind}"


def launch(start: Start) -> EngineCommand | None:
    """The line that starts the way's engine; None where it has none of its own."""
    line = _LINES.get(start.way.engine)
    return None if line is None else line(start)


def _llama(start: Start) -> EngineCommand | None:
    if start.plan is None:
        return None
    argv = ("llama-server", "-m", start.path, *start.plan.server_args)
    return EngineCommand(argv=argv, environment=start.plan.environment)


def _ik(start: Start) -> EngineCommand | None:
    if start.plan is None:
        return None
    args = start.plan.server_args
    kept = [part for flag, value in pairwise(args) if flag in _SHARED for part in (flag, value)]
    is_mla = start.model.tensor("blk.0.attn_kv_a_mqa.weight") is not None
    is_moe = start.model.hparams.n_expert > 0
    # Flash attention is on by default; repacking at load is for weights that the CPU works on.
    extra = (
        *(("-mla", "3", "-amb", "512") if is_mla else ()),
        *(("-fmoe",) if is_moe else ()),
        *(("-op", "-1,0") if "--no-op-offload" in args else ()),
        *(("-rtr",) if "-ot" in args or buffers.CPU in start.plan.footprint.layers else ()),
    )
    return EngineCommand(argv=("llama-server", "-m", start.path, *kept, *extra), environment=start.plan.environment)


def _ktransformers(start: Start) -> EngineCommand:
    argv = (
        "python", "ktransformers/server/main.py", "--model_path", start.weights("config"),
        "--gguf_path", str(PurePath(start.path).parent), "--cpu_infer", start.cores,
        "--cache_lens", str(start.n_ctx), "--max_new_tokens", "1024", "--backend_type", "balance_serve",
    )  # fmt: skip
    return EngineCommand(argv=argv)


def _sglang(start: Start) -> EngineCommand | None:
    if start.laid is None:
        return None
    nodes = max(1, len(start.machine.numa_nodes))
    method = start.way.name
    experts = str(PurePath(start.path).parent) if start.way.needs_gguf else start.weights(f"kt-{method.lower()}")
    if not (start.way.converts or start.way.needs_gguf):
        experts = start.weights(start.way.reads[0])
    argv = (
        "python", "-m", "sglang.launch_server", "--model-path", start.weights(start.way.reads[0]),
        "--trust-remote-code", "--kt-method", method, "--kt-weight-path", experts,
        "--kt-cpuinfer", start.cores, "--kt-threadpool-count", str(nodes),
        "--kt-num-gpu-experts", str(start.laid.n_gpu_experts), "--tensor-parallel-size", str(start.laid.n_tensor),
        "--context-length", str(start.n_ctx), "--mem-fraction-static", f"{start.way.gpu_fraction:g}",
        *(_TRITON if start.is_sm_120 else ()),
    )  # fmt: skip
    return EngineCommand(argv=argv, environment={"SGLANG_ENABLE_JIT_DEEPGEMM": "false"} if start.is_sm_120 else {})


def _vllm(start: Start) -> EngineCommand | None:
    if start.laid is None:
        return None
    laid = start.laid
    source = start.path if start.way.name == "gguf" else start.weights(start.way.reads[0])
    argv = (
        "vllm", "serve", source, "--tensor-parallel-size", str(laid.n_tensor),
        "--pipeline-parallel-size", str(laid.n_pipeline), "--gpu-memory-utilization", f"{start.way.gpu_fraction:g}",
        *(("--cpu-offload-gb", str(laid.offload)) if laid.offload else ()), "--max-model-len", str(start.n_ctx),
    )  # fmt: skip
    stages = {"VLLM_PP_LAYER_PARTITION": ",".join(map(str, laid.partition))} if laid.partition else {}
    return EngineCommand(argv=argv, environment=stages)


def _tensorrt(start: Start) -> EngineCommand | None:
    if start.laid is None:
        return None
    source = start.weights(start.way.reads[0])
    argv = ("trtllm-serve", source, "--tp_size", str(start.laid.n_tensor), "--max_seq_len", str(start.n_ctx))
    return EngineCommand(argv=argv)


_LINES: Final[Mapping[str, Callable[[Start], EngineCommand | None]]] = {
    "llama.cpp": _llama,
    "ik_llama.cpp": _ik,
    "ktransformers": _ktransformers,
    "sglang-kt": _sglang,
    "vllm": _vllm,
    "tensorrt-llm": _tensorrt,
}
