"""Published rows with and without speculative decoding: which can be priced, and the arguments they stand for."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import omniplan
from benchmarks.measured.headers import ROOT, path_of
from omniplan.domain.header import Tensor
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.errors import OmniplanError
from omniplan.gguf.model import build_model
from omniplan.llamacpp.quant.table import quantize_rules
from omniplan.machines.gpus import find_gpus

FILE: Final = ROOT / "tests/data/measurements/speculative.jsonl"

# In this order; the first that is not met is the reason a row is left out.
RULE: Final = (
    "a decode speed with and without drafts",
    "every flag is one of b11434: no expert cache",
    "a header of the model's shape is in this repository, and what drafts is a part of it",
    "its placement can be written as arguments of llama-server",
)

# Tokens in the cache when the answer starts: the prompts of these rows are short.
_DEPTH: Final = 512
# Most rows of the largest source are of this quant, as it says where a row does not.
_QUANT: Final = "Q4_K_M"
# The model's name in the rows -> a header of its shape; Qwen3.8-27B has as many layers as Qwen3.6-27B.
_HEADERS: Final = {
    "Qwen3.6-27B": "Qwen3.6-27B-MTP-Q4_K_M.gguf",
    "Qwen3.8-27B": "Qwen3.6-27B-MTP-Q4_K_M.gguf",
    "Qwen3.5-27B": "Qwen3.6-27B-MTP-Q4_K_M.gguf",
    "Qwen3.5-35B-A3B": "Qwen3.5-35B-A3B-Q6_K.gguf",
    "GLM-4.5-Air": "GLM-4.5-Air-Q4_K_M.gguf",
    "GLM-4.7": "GLM-4.7-Q4_K_M.gguf",
    "Qwen3.6-35B-A3B": "Qwen3.5-35B-A3B-Q6_K.gguf",
    "GLM-5.2": "GLM-5.2-Q5_K_M.gguf",
}
# What a row calls a GPU, where that is none of its names: an A6000 of the Ada generation, with that one's bandwidth.
_GPUS: Final = {
    "RTX A6000 48GB (Ada)": "RTX 6000 Ada",
    "RTX A6000 (Ada as printed)": "RTX 6000 Ada",
    "AMD Radeon 9060 XT 16 GB": "RX 9060 XT 16GB",
    "RTX PRO 6000 Blackwell Max-Q 96GB": "RTX PRO 6000 Blackwell",
    "RTX PRO 6000 Blackwell Max-Q": "RTX PRO 6000 Blackwell",
}
_SIZE: Final = re.compile(r"(\d+) ?GB\b")
# Flags that say where weights are, and take a value or none.
_LAYOUT: Final = re.compile(r"(-ngl|--n-cpu-moe|-ts|-sm|-t|-ot|-cmoe|--cpu-moe|-fit)\b(?: ([^\s,;-][^\s;]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculativeRow:
    """One row: arguments without drafts, those that draft, and the measured gain."""

    id: str
    kind: str
    model: omniplan.Model
    machine: omniplan.Machine
    args: tuple[str, ...]
    drafts: tuple[str, ...]
    acceptance: float | None
    gain: float


def rows(path: Path) -> tuple[list[SpeculativeRow], Counter[str]]:
    """The rows of the file that meet the rule, and how many each part of it leaves out."""
    kept, left_out = [], Counter[str]()
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if reason := _reason(row):
            left_out[reason] += 1
            continue
        try:
            kept.append(_row(row))
        except OmniplanError:
            left_out[RULE[3]] += 1
    return kept, left_out


def predicted(row: SpeculativeRow) -> omniplan.Prediction:
    """What omniplan says of the row with drafts."""
    return omniplan.predict(
        row.model,
        row.machine,
        [*row.args, *row.drafts],
        n_prompt=0,
        n_gen=256,
        depth=_DEPTH,
        acceptance=row.acceptance,
    )


def _reason(row: dict[str, Any]) -> str | None:
    if not row["tg_tps_off"] or not row["tg_tps_on"]:
        return RULE[0]
    if "moe-cache" in row["placement_flags"]:
        return RULE[1]
    is_own_head = "-md" not in row["placement_flags"] and "--model-draft" not in row["placement_flags"]
    return None if row["model"] in _HEADERS and is_own_head else RULE[2]


def _row(row: dict[str, Any]) -> SpeculativeRow:
    model, machine = _model(row["model"], _quant(row["quant"])), _machine(row)
    args = tuple(_arguments(row))
    if "-fit" in row["placement_flags"]:
        args = (*args, *omniplan.fit(model, machine, args).args)
    elif "-ngl" not in args:
        args = (*args, "-ngl", "99")
    return SpeculativeRow(
        id=row["id"],
        kind=_kind(row, args),
        model=model,
        machine=machine,
        args=args,
        drafts=("--spec-type", "draft-mtp", *(("--spec-draft-n-max", str(n)) if (n := row["n_max"]) else ())),
        acceptance=_acceptance(row["acceptance"]),
        gain=row["tg_tps_on"] / row["tg_tps_off"],
    )


def _kind(row: dict[str, Any], args: Sequence[str]) -> str:
    name = " ".join(gpu["name"] for gpu in row["gpus"])
    if re.search(r"unified|Ryzen|iGPU|Apple", name):
        return "unified memory"
    *_, layers = [int(value) for flag, value in pairwise(args) if flag == "-ngl"] or [99]
    is_partly = layers < 65 or re.search(r"-ot|cpu-moe|-fit", row["placement_flags"])
    return "weights in RAM" if is_partly else "one GPU" if len(row["gpus"]) == 1 else "several GPUs"


def _acceptance(said: float | str | None) -> float | None:
    """The average where a row states one, else the middle of its range over prompts."""
    if not isinstance(said, str):
        return said
    average = re.search(r"\((?:avg )?~?([\d.]+)", said)
    ends = [float(average[1])] if average else [float(end) for end in re.findall(r"[\d.]+", said)]
    return sum(ends) / len(ends)


def _quant(said: str) -> str:
    """The plain quant that a dynamic one goes by: UD-Q4_K_XL is made from Q4_K_M, UD-Q8_K_XL from Q8_0."""
    mixes = sorted(quantize_rules().mixes, key=len, reverse=True)
    if stated := [mix for mix in mixes if re.search(rf"(?<![A-Z\d_]){mix}(?![A-Z\d])", said)]:
        return stated[0]
    dynamic = re.search(r"Q\d_K(?=_XL)", said)
    stem = dynamic[0] if dynamic else ""
    return next(mix for mix in (f"{stem}_M", stem.replace("_K", "_0"), _QUANT) if mix in mixes)


@cache
def _model(name: str, quant: str) -> omniplan.Model:
    source = omniplan.load_model(path_of(_HEADERS[name]))
    has_head = source.hparams.n_layer_all > source.hparams.n_layer
    return omniplan.requantise(source if has_head else _with_head(source), quant)


def _with_head(source: omniplan.Model) -> omniplan.Model:
    """The model with an MTP head: a layer as its last one, after a projection of a token and a state to one row."""
    h, header = source.hparams, source.header
    last, head = f"blk.{h.n_layer_all - 1}.", f"blk.{h.n_layer_all}."
    copied = [replace(t, name=t.name.replace(last, head)) for t in header.tensors if t.name.startswith(last)]
    small = ("enorm", "hnorm", "shared_head_norm")
    own = [Tensor(f"{head}nextn.eh_proj.weight", TYPE_BY_NAME["q8_0"], (2 * h.n_embd, h.n_embd), 0, 0)]
    own += [Tensor(f"{head}nextn.{name}.weight", TYPE_BY_NAME["f32"], (h.n_embd,), 0, 0) for name in small]
    arch = header.architecture
    said = {f"{arch}.block_count": h.n_layer_all + 1, f"{arch}.nextn_predict_layers": 1}
    tensors = (*header.tensors, *copied, *own)
    return build_model(replace(header, tensors=tensors, metadata={**header.metadata, **said}))


def _arguments(row: dict[str, Any]) -> Iterator[str]:
    yield from ("-c", str(min(row["ctx_size"] or 8192, 65536)), "-np", "1", "-fa", "on")
    for flag, value in _LAYOUT.findall(row["placement_flags"]):
        if flag not in ("-fit", "-sm"):
            yield flag
            yield from (value,) if value else ()
    if (kind := row["kv_type"]) and re.fullmatch(r"f16|q\d_\d", kind):
        yield from ("-ctk", kind, "-ctv", kind)


def _machine(row: dict[str, Any]) -> omniplan.Machine:
    raw: dict[str, Any] = {"name": "row", "gpus": [], "memory": {"total_mib": 1 << 20}}
    described = [part for gpu in row["gpus"] for part in gpu["name"].split(" + ")]
    for index, name in enumerate(described):
        stated = row["gpus"][index] if len(row["gpus"]) == len(described) else {}
        plain = _GPUS.get(name) or re.sub(r"\(.*|\d+ ?GB.*", "", name).strip()
        known = find_gpus(plain)
        size = stated.get("vram_gb") or (int(found[1]) if (found := _SIZE.search(name)) else None)
        total = int(size * 1024) if size else known[0].memory if known else 1 << 17
        entry = {"name": f"CUDA{index}", "description": plain, "total_mib": total if size else total >> 20}
        if rate := stated.get("mem_bandwidth_gbs"):
            entry["bandwidth_gbs"] = rate
        raw["gpus"].append(entry)
    cpu = row["cpu"] or {}
    raw["cpu"] = {"n_sockets": 1, **({"n_cores": cpu["cores"]} if cpu.get("cores") else {})}
    if measured := cpu.get("measured_bandwidth_gbs"):
        raw["memory"] |= {"bandwidth_gbs": measured, "bandwidth_basis": "measured"}
    elif nominal := cpu.get("nominal_bandwidth_gbs"):
        raw["memory"] |= {"bandwidth_gbs": nominal, "bandwidth_basis": "spec"}
    return omniplan.Machine.from_dict(raw)
