"""Headers for measured rows: the one of the same model in this repository, its weights brought to the stated size."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import omniplan
from omniplan.domain.header import Tensor
from omniplan.domain.roles import Role
from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.gguf.model import build_model

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_FOLDERS: Final = ("tests/data/models/zoo", "tests/data/measurements/headers", "data/models")

# The model's name in the measurements -> a header of the same shape.
HEADERS: Final = {
    "DeepSeek-R1/V3 671B": "DeepSeek-R1-Q3_K_M.gguf",
    "GLM-4.5-Air": "GLM-4.5-Air-Q4_K_M.gguf",
    "GLM-4.7-Flash": "GLM-4.7-Flash-Q4_K_M.gguf",
    "GLM-5.2": "GLM-5.2-Q5_K_M.gguf",
    "Kimi-K2 1T": "Kimi-K2-Instruct-Q4_K_M.gguf",
    "Llama 70B": "Llama-3.3-70B-Q4_K_M.gguf",
    "Llama-3 8B": "Llama-3.1-8B-Q4_K_M.gguf",
    "Llama-3.1-8B": "Llama-3.1-8B-Q4_K_M.gguf",
    "Llama-4-Scout 109B": "Llama-4-Scout-17B-16E-Q4_K_M.gguf",
    "Llama-3.1-70B": "Llama-3.3-70B-Q4_K_M.gguf",
    "Llama-4-Scout-109B": "Llama-4-Scout-17B-16E-Q4_K_M.gguf",
    "MiniMax-M2": "MiniMax-M2-Q4_K_M.gguf",
    "MiniMax-M2.7": "MiniMax-M2-Q4_K_M.gguf",
    "Phi-4 14B": "phi-4-Q4_K_M.gguf",
    "phi-4 14B": "phi-4-Q4_K_M.gguf",
    "Qwen2 7B": "Qwen2.5-Coder-7B-Q4_K_M.gguf",
    "Qwen3-235B-A22B": "Qwen3-235B-A22B-Q4_K_M.gguf",
    "Qwen3-30B-A3B": "Qwen3-30B-A3B-Q4_K_M.gguf",
    "Qwen3-8B": "Qwen3-8B-Q4_K_M.gguf",
    "Qwen3-Coder-30B-A3B": "Qwen3-30B-A3B-Q4_K_M.gguf",
    "Qwen3-Coder-Next": "Qwen3-Next-80B-A3B-Q5_K_M.gguf",
    "Qwen3-Next-80B-A3B": "Qwen3-Next-80B-A3B-Q5_K_M.gguf",
    "Qwen3.5-35B-A3B": "Qwen3.5-35B-A3B-Q6_K.gguf",
    "Qwen3.5-122B-A10B": "Qwen3.5-122B-A10B-Q4_K_M.gguf",
    "Qwen3.6-27B": "Qwen3.6-27B-Q4_K_M.gguf",
    "Qwen3.6-35B-A3B": "Qwen3.5-35B-A3B-Q6_K.gguf",
    "SERA-8B (qwen3 8B)": "Qwen3-8B-Q4_K_M.gguf",
    "gpt-oss-120b": "gpt-oss-120b-MXFP4_MOE.gguf",
    "gpt-oss-20b": "gpt-oss-20b-MXFP4_MOE.gguf",
}

# Types a file of a quantisation mix is made of, rising; ik_llama.cpp's own types stand for ggml's of the same size.
_LADDER: Final = (
    "iq1_s",
    "iq2_xxs",
    "iq2_s",
    "q2_K",
    "iq3_xxs",
    "q3_K",
    "iq4_xs",
    "q4_K",
    "q5_K",
    "q6_K",
    "q8_0",
    "f16",
)
_LEGACY: Final = ("q4_0", "q5_0", "q8_0", "f16")
_PLAIN: Final = {"Q8_0": "q8_0", "F16": "f16", "BF16": "bf16", "MXFP4": "mxfp4"}
_CLOSE: Final = 0.015


def path_of(name: str) -> Path:
    """Where the header called ``name`` lies."""
    return next(path for folder in _FOLDERS if (path := ROOT / folder / name).is_file())


@cache
def model_of(name: str, quant: str, file_size: float | None) -> omniplan.Model | None:
    """The model called ``name`` in the measurements, of ``file_size`` GiB; None where nothing says its size."""
    source = omniplan.load_model(path_of(HEADERS[name]))
    own = sum(tensor.nbytes for tensor in source.header.tensors)
    label = re.sub(r"\(.*|^UD-", "", quant).strip()
    if file_size is None and label not in HEADERS[name]:
        return None
    if "MXFP4" in quant and "MXFP4" in HEADERS[name]:
        return source
    target = own if file_size is None else file_size * 2**30
    if abs(target / own - 1) <= _CLOSE:
        return source
    return _scaled(source, target, label)


def _scaled(source: omniplan.Model, target: float, label: str) -> omniplan.Model:
    """Matrices of the layers in the two types whose mix has ``target`` bytes; the first layers get the larger."""
    h = source.hparams
    bulk = [tensor for tensor in source.header.tensors if _is_bulk(source, tensor)]
    if label in _PLAIN:
        bulk = [tensor for tensor in source.header.tensors if len(tensor.shape) > 1 and "gate_inp" not in tensor.name]
        return _with_types(source, {tensor.name: TYPE_BY_NAME[_PLAIN[label]] for tensor in bulk if tensor.shape[0] > 1})
    if not bulk:  # gpt-oss: its experts have no other type than MXFP4
        return source
    fixed = sum(tensor.nbytes for tensor in source.header.tensors) - sum(tensor.nbytes for tensor in bulk)
    bits = 8 * (target - fixed) / sum(tensor.n_elements for tensor in bulk)
    names = _LEGACY if re.match(r"Q\d_0", label) else _LADDER
    kinds = [TYPE_BY_NAME[name] for name in names]
    low = max((kind for kind in kinds if kind.bits_per_weight <= bits), key=_bits, default=kinds[0])
    high = min((kind for kind in kinds if kind.bits_per_weight > bits), key=_bits, default=kinds[-1])
    share = 0.0 if low is high else (bits - _bits(low)) / (_bits(high) - _bits(low))
    first = round(share * h.n_layer)
    return _with_types(source, {t.name: high if int(t.name.split(".")[1]) < first else low for t in bulk})


def _bits(kind: TensorType) -> float:
    return kind.bits_per_weight


def _is_bulk(model: omniplan.Model, tensor: Tensor) -> bool:
    role = model.roles[tensor.name]
    if len(tensor.shape) < 2 or tensor.shape[0] % 256 or not tensor.name.startswith("blk."):
        return False
    return role is Role.ROUTED_EXPERT if model.hparams.n_expert else role in (Role.ATTENTION, Role.DENSE_FFN)


def _with_types(source: omniplan.Model, types: dict[str, TensorType]) -> omniplan.Model:
    tensors = tuple(
        replace(tensor, type=kind) if (kind := types.get(tensor.name)) and tensor.shape[0] % kind.block == 0 else tensor
        for tensor in source.header.tensors
    )
    size = sum(tensor.nbytes for tensor in tensors)
    return build_model(replace(source.header, tensors=tensors, file_bytes=size))
