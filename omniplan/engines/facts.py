"""What rules may ask: facts of the model, the machine and the site by name; None where nobody stated them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.domain.processor import Cpu
from omniplan.domain.roles import Role
from omniplan.engines.site import Site
from omniplan.llamacpp.quant.quantize import QuantRecipe, quantized_types
from omniplan.llamacpp.quant.table import mix_of
from omniplan.machines.cpus import find_cpu
from omniplan.machines.gpus import find_gpu

Fact = bool | int | str | None
# The share of tensors whose types must be plain llama-quantize's; an older one chose a few differently.
_SAME: Final = 0.99
_ARM: Final = ("asimd", "neon", "sve")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightGroups:
    """Parameters of a model by where engines put them: routed experts, and the rest; and their bytes in the file."""

    experts: int
    rest: int
    expert_bytes: int
    rest_bytes: int
    n_expert: int

    @property
    def total(self) -> int:
        """All parameters."""
        return self.experts + self.rest

    def expert_size(self, bits: float) -> int:
        """Bytes of the routed experts at so many bits per weight; 0 for those of the file."""
        return round(self.experts * bits / 8) if bits else self.expert_bytes

    def rest_size(self, bits: float) -> int:
        """Bytes of everything else at so many bits per weight; 0 for those of the file."""
        return round(self.rest * bits / 8) if bits else self.rest_bytes


@lru_cache(maxsize=16)
def weights_of(model: Model) -> WeightGroups:
    """Counted from the tensors; nextn layers belong to the rest."""
    tensors = model.header.tensors
    experts = [tensor for tensor in tensors if model.roles[tensor.name] == Role.ROUTED_EXPERT]
    n_experts, size = sum(t.n_elements for t in experts), sum(t.nbytes for t in experts)
    return WeightGroups(
        experts=n_experts,
        rest=sum(t.n_elements for t in tensors) - n_experts,
        expert_bytes=size,
        rest_bytes=model.header.tensor_bytes - size,
        n_expert=model.hparams.n_expert,
    )


def facts_of(model: Model, machine: Machine, site: Site) -> dict[str, Fact]:
    """Every fact a rule may name, but those that follow from a layout."""
    return {**_model(model), **_gpus(machine.gpus), **_cpu(machine.cpu), **_site(site)}


def _model(model: Model) -> Mapping[str, Fact]:
    h = model.hparams
    return {
        "model.arch": model.arch,
        "model.moe": model.is_moe,
        "model.mla": h.is_mla or model.tensor("blk.0.attn_kv_a_mqa.weight") is not None,
        "model.sparse": h.indexer_top_k > 0,
        "model.dynamic": _is_dynamic(model),
    }


@lru_cache(maxsize=16)
def _is_dynamic(model: Model) -> bool | None:
    """Whether a file is a dynamic quant: by its name, or not when its types are those of plain llama-quantize."""
    text = f"{model.header.paths[0]} {model.header.metadata.get('general.name', '')}"
    if re.search(r"(?<![A-Za-z0-9])UD(?![A-Za-z0-9])", text):
        return True
    mix = mix_of(model.header.metadata.get("general.file_type"))
    if mix is None:
        return None
    ways = (quantized_types(model, QuantRecipe(mix=mix, imatrix=imatrix)) for imatrix in (False, True))
    same = max(sum(types[t.name] == t.type for t in model.header.tensors) for types in ways)
    return False if same >= _SAME * len(model.header.tensors) else None


def is_unequal(gpus: tuple[Gpu, ...]) -> bool:
    """Whether there are GPUs of different size (by more than 2 %) or kind."""
    sizes = [gpu.total for gpu in gpus]
    return len(gpus) > 1 and (max(sizes) > 1.02 * min(sizes) or len({gpu.compute_capability for gpu in gpus}) > 1)


def _capability(gpu: Gpu) -> str:
    """CUDA's compute capability as stated, else of the model by that name; "none" for other makers', "" for unknown."""
    if gpu.compute_capability.startswith("gfx"):
        return "none"
    row = find_gpu(gpu.description, gpu.total)
    return gpu.compute_capability or ("" if row is None else row.compute_capability or "none")


def _gpus(gpus: tuple[Gpu, ...]) -> Mapping[str, Fact]:
    known = [_capability(gpu) for gpu in gpus]
    sm_120 = True if "12.0" in known else None if "" in known else False
    return {"gpu.count": len(gpus), "gpu.unequal": is_unequal(gpus), "gpu.sm_120": sm_120}


def _cpu(cpu: Cpu | None) -> Mapping[str, Fact]:
    row = find_cpu(cpu.model) if cpu else None
    known = (cpu.features if cpu else ()) or (row.features if row else ())
    return {
        "cpu.arm": any(name.startswith(_ARM) for name in known) if known else None,
        "cpu.amx": any(name.startswith("amx") for name in known) if known else None,
        "cpu.avx512": any(name.startswith("avx512") for name in known) if known else None,
    }


def _site(site: Site) -> Mapping[str, Fact]:
    return {
        "site.cuda": site.cuda or None,
        "site.driver": site.driver or None,
        "site.kernel": site.kernel or None,
        "site.sandbox": site.sandbox,
        "site.sched_ext": site.sched_ext,
        "site.safetensors": None if site.weights is None else any(name != "gguf" for name in site.weights),
    }
