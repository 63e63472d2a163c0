"""Which published rows can be priced, by a rule that never looks at a speed, and the arguments they stand for."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median_low
from typing import Any, Final

import omniplan
from benchmarks.measured.headers import HEADERS, ROOT, model_of
from omniplan.domain.evidence import LearnedConstant
from omniplan.machines.cpus import find_described
from omniplan.predict.accuracy import Devices
from omniplan.predict.learned import load

FILES: Final = tuple(ROOT / "tests/data/measurements" / name for name in ("throughput.jsonl", "throughput_2026.jsonl"))

# In this order; the first that is not met is the reason a row is left out.
RULE: Final = (
    "the engine is llama.cpp itself or ik_llama.cpp: no fork, no patched build, no ollama, no KTransformers",
    "one back end is named: CUDA, ROCm, Vulkan, Metal, SYCL or the CPU",
    "a GPU is named as a product, and no driver paging (unified memory beyond VRAM) is involved",
    "a header of the same model is in this repository",
    "the file size is stated, here or in another row of that file, or the header is of the same quantisation",
    "the placement is a number of layers, --n-cpu-moe, or -ot patterns that can be written down as arguments",
    "where weights are in RAM, that is described: a bandwidth, channels and speed, or a processor in the table",
    "a decode or a prompt speed is given",
)
_PAGING: Final = ("UNIFIED_MEMORY", "spill", "thrash")
_FUZZY: Final = re.compile(
    r"same|partly|partial|some |~|semi-layer|unspecified|split_mode|sm graph|-sas|rest|layers exps on|auto"
)
# Words of a placement that should then be there as a pattern or a number.
_TOLD: Final = re.compile(r"exps|experts|ffn|on CPU|semi")


_DEVICES: Final = {"GPU + CPU": Devices.MIXED, "CPU only": Devices.CPU}
# What llama.cpp calls the devices of a row's back end.
_NAMES: Final = {"CUDA": "CUDA", "ROCm": "ROCm", "Vulkan": "Vulkan", "Metal": "MTL", "SYCL": "SYCL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row as arguments on a machine; ``is_old`` is of 2024. Rates are tokens per second, None where it has none.

    ``is_whole``: the prompt is what fills the cache to ``depth``, not one after it.
    """

    id: str
    engine: str
    is_old: bool
    rig: str
    kind: str
    backend: str
    devices: Devices
    model: omniplan.Model
    machine: omniplan.Machine
    args: tuple[str, ...]
    n_prompt: int
    n_gen: int
    depth: int
    is_whole: bool
    decode: float | None
    prompt: float | None


def cases() -> tuple[list[Case], Counter[str]]:
    """Every row the rule keeps, and how many rows each part of it leaves out."""
    kept, left_out = [], Counter[str]()
    for row in _rows():
        if (reason := _reason(row)) is not None:
            left_out[RULE[reason]] += 1
        else:
            kept.append(_case(row))
    return kept, left_out


@cache
def _rows() -> tuple[dict[str, Any], ...]:
    """Every row; a file size that one does not state is that of other rows of the same model and quantisation."""
    rows = [json.loads(line) for path in FILES for line in path.read_text(encoding="utf-8").splitlines()]
    sizes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        if size := row.get("file_size_gib"):
            sizes[row["model"], row["quant"]].append(size)
    known = {of: median_low(found) for of, found in sizes.items()}
    return tuple(
        {**row, "file_size_gib": row.get("file_size_gib") or known.get((row["model"], row["quant"]))} for row in rows
    )


def _reason(row: dict[str, Any]) -> int | None:
    """Index of the first part of the rule that ``row`` breaks."""
    engine, flags = row["engine"], f"{row.get('placement_flags')} {row.get('notes')}"
    if not re.match(r"(ik_)?llama\.cpp", engine) or re.search(r"fork|patch|PR ?\d|ollama", engine):
        return 0
    checks = (
        row["backend"] in ("CPU", "CUDA+CPU") or _backend(row) in _NAMES,
        all(re.search(r"\d{3}|GB10|^M\d", gpu["name"]) for gpu in row.get("gpus") or ())
        and bool(row.get("gpus") or row["backend"] == "CPU")
        and not any(word in flags for word in _PAGING),
        row["model"] in HEADERS,
    )
    for index, is_met in enumerate(checks, start=1):
        if not is_met:
            return index
    model = model_of(row["model"], row["quant"], row.get("file_size_gib"))
    if model is None:
        return 4
    args = arguments(row)
    if args is None:
        return 5
    if _kind(row, args, model) in _DEVICES and not _is_described(row):
        return 6
    return None if row.get("tg_tps") or row.get("pp_tps") else 7


def _is_described(row: dict[str, Any]) -> bool:
    """Whether anything says how fast the host's RAM is."""
    cpu = row.get("cpu") or {}
    return bool(_memory(cpu)) or find_described(cpu.get("name") or "") is not None


def _backend(row: dict[str, Any]) -> str:
    """The back end a row names, without its version or driver; "ROCm 7.2.3" and "Vulkan RADV" have one."""
    return re.sub(r" .*|\+CPU$", "", str(row["backend"]))


def arguments(row: dict[str, Any]) -> tuple[str, ...] | None:
    """llama-server's arguments for a row; None where its placement is told in words."""
    if row["backend"] == "CPU":
        return ("-ngl", "0", *_context(row))
    flags = str(row.get("placement_flags") or "")
    if row.get("n_gpu_layers") is None or _FUZZY.search(flags):
        return None
    found = ["-ngl", str(row["n_gpu_layers"]), *_context(row)]
    if row.get("n_cpu_moe"):
        return (*found, "-ncmoe", str(row["n_cpu_moe"]))
    patterns = list(_patterns(flags))
    if len(patterns) != len(re.findall(r"=(?:CPU|CUDA)", flags)) or (not patterns and _TOLD.search(flags)):
        return None
    for pattern in patterns:
        found += ["-ot", pattern]
    return tuple(found)


def _patterns(flags: str) -> Iterator[str]:
    """``-ot`` patterns of a row, with number ranges written out as alternatives."""
    for part in re.split(r"\s+|,(?![^(]*\))", flags):
        match = re.fullmatch(r"(?P<pattern>\S*(?:blk|exps|ffn)[^\s/]*)=(?P<buffer>CPU|CUDA\d)", part)
        if match:
            pattern = re.sub(r"\(([\d,-]*\d-\d[\d,-]*)\)", _alternatives, match["pattern"])
            yield f"{pattern.replace('blk.', 'blk[.]').replace(').', ')[.]')}={match['buffer']}"


def _alternatives(match: re.Match[str]) -> str:
    ranges = [[int(end) for end in part.split("-")] for part in match[1].split(",")]
    return "(" + "|".join(str(n) for ends in ranges for n in range(ends[0], ends[-1] + 1)) + ")"


def _context(row: dict[str, Any]) -> list[str]:
    n_ctx = row["ctx_depth"] + 4096 + (row.get("n_ubatch") or 512)
    found = ["-c", str(n_ctx), "-np", "1"]
    if ubatch := row.get("n_ubatch"):
        found += ["-b", str(max(2048, ubatch)), "-ub", str(ubatch)]
    if (kind := row.get("kv_type")) and kind != "f16":
        found += ["-ctk", kind, "-ctv", kind]
    if (flash := row.get("fa")) is not None and not (kind and kind != "f16"):
        found += ["-fa", "on" if flash else "off"]
    flags = str(row.get("placement_flags") or "")
    if re.search(r"-nkvo 1", flags):
        found += ["-nkvo"]
    if numa := re.search(r"--numa (\w+)", f"{row.get('numa')} {flags}"):
        found += ["--numa", numa[1]]
    if threads := row.get("threads"):
        found += ["-t", str(threads)]
    if re.search(r"--no-mmap|-mmp 0|-rtr|load mode none", flags):
        found += ["--load-mode", "none"]
    if re.search(r"-nopo 1|--no-op-offload", flags):
        found += ["--no-op-offload"]
    if split := re.search(r"-ts ([\d.,]*\d)", flags):
        found += ["-ts", split[1]]
    if "-sm tensor" in flags:
        found += ["-sm", "tensor"]
    if cached := re.search(r"--moe-cache-mib (\d+)", flags):
        found += ["--moe-cache-mib", cached[1]]
    return found


@cache
def _old_constants() -> tuple[LearnedConstant, ...]:
    """What was otherwise in builds of 2024."""
    rows = load(Path(__file__).parent / "builds_2024.toml").by_name
    return tuple(LearnedConstant(name=name, value=row.value) for name, row in rows.items())


@cache
def _machine(text: str) -> omniplan.Machine:
    row = json.loads(text)
    raw: dict[str, Any] = {"name": row["rig"], "gpus": []}
    for index, gpu in enumerate(row["gpus"] or ()):
        name = re.sub(r" \(.*", "", gpu["name"])
        entry = {
            "name": f"{row['device']}{index}",
            "description": name,
            "total_mib": int((gpu.get("vram_gb") or 24) * 1024),
            "unified": "unified" in gpu["name"] or bool(re.match(r"M\d", name)),
        }
        if gpu.get("mem_bandwidth_gbs"):
            entry["bandwidth_gbs"] = gpu["mem_bandwidth_gbs"]
        raw["gpus"].append(entry)
    cpu = row["cpu"] or {}
    raw["cpu"] = {"model": cpu.get("name") or "", "n_sockets": cpu.get("sockets") or 1}
    if cpu.get("cores"):
        raw["cpu"]["n_cores"] = cpu["cores"]
    raw["memory"] = {"total_mib": 1 << 21, **_memory(cpu)}
    if nps := re.search(r"NPS(\d)", f"{cpu.get('name')} {row['numa']}"):
        raw["nps"] = max(1, int(nps[1]))
    return omniplan.Machine.from_dict(raw)


def _memory(cpu: dict[str, Any]) -> dict[str, Any]:
    if measured := cpu.get("measured_bandwidth_gbs"):
        return {"bandwidth_gbs": measured, "bandwidth_basis": "measured"}
    speed = re.search(r"DDR\d-(\d{4})", str(cpu.get("memory_speed")))
    if speed and cpu.get("memory_channels"):
        return {"channels": cpu["memory_channels"], "speed_mts": int(speed[1])}
    if nominal := cpu.get("nominal_bandwidth_gbs"):
        return {"bandwidth_gbs": nominal, "bandwidth_basis": "spec"}
    return {}


def _case(row: dict[str, Any]) -> Case:
    gpus = [gpu["name"] for gpu in row.get("gpus") or ()] if row["backend"] != "CPU" else []
    cpu = row.get("cpu")
    name = " + ".join(f"{count} x {gpu}" for gpu, count in Counter(gpus).items())
    rig = " / ".join(part for part in (name, (cpu or {}).get("name", "")) if part)
    gist = {"rig": rig, "gpus": row.get("gpus") if gpus else None, "cpu": cpu, "numa": row.get("numa")}
    gist["device"] = _NAMES.get(_backend(row), "CUDA")
    model = model_of(row["model"], row["quant"], row.get("file_size_gib"))
    args = arguments(row)
    machine = _machine(json.dumps(gist, sort_keys=True))
    is_old = row["date"].startswith("2024")
    assert model is not None
    assert args is not None
    return Case(
        id=row["id"],
        engine="ik_llama.cpp" if row["engine"].startswith("ik") else "llama.cpp",
        is_old=is_old,
        rig=rig,
        kind=(kind := _kind(row, args, model)),
        backend=_backend(row),
        devices=_DEVICES.get(kind, Devices.GPUS),
        model=model,
        machine=replace(machine, constants=_old_constants()) if is_old else machine,
        args=args,
        n_prompt=_stated(row, "pp") or row.get("n_ubatch") or 512,
        n_gen=_stated(row, "tg") or 128,
        depth=row["ctx_depth"],
        is_whole="whole" in str(row.get("notes")),
        decode=row.get("tg_tps"),
        # Prompts of one repeated token are known by their source to be faster than text.
        prompt=None if "optimistic for prefill" in str(row.get("notes")) else row.get("pp_tps"),
    )


def _stated(row: dict[str, Any], test: str) -> int | None:
    """Tokens of a llama-bench test such as pp512 or tg128, where the row names it."""
    stated = re.search(rf"\b{test} ?(\d{{2,5}})\b", f"{row.get('notes')} {row['id']}")
    return int(stated[1]) if stated else None


def _kind(row: dict[str, Any], args: tuple[str, ...], model: omniplan.Model) -> str:
    if row["backend"] == "CPU":
        return "CPU only"
    if "-ot" in args or "-ncmoe" in args or row["n_gpu_layers"] < model.hparams.n_layer:
        return "GPU + CPU"
    return "one GPU" if len(row["gpus"]) == 1 else "several GPUs"
