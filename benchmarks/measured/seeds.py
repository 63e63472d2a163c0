"""The diaries' own speeds as checks: model, machine and arguments of each, what was measured, and why we are off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import omniplan
from benchmarks.measured.headers import path_of

_KV: Final = ("-np", "1", "-ctk", "q8_0", "-ctv", "q8_0", "-fa", "on")
_ON_4090: Final = "-ot blk\\.([0-9]|[12][0-9]|3[0-4])\\.=CUDA0,blk\\.(3[5-9]|4[0-6])\\.=CUDA1"
_OSS: Final = "-ot blk\\.([0-9]|1[0-2])\\.=CUDA0,blk\\.(1[3-7])\\.=CUDA1,exps=CPU"
_NEXT: Final = "-ot blk\\.([0-9]|1[0-6])\\.=CUDA0,blk\\.(1[7-9]|2[0-4])\\.=CUDA1,exps=CPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """One speed of a diary, tokens per second decoded; ``fit`` takes the rest of the arguments from ``--fit``."""

    what: str
    header: str
    machine: str
    args: tuple[str, ...]
    measured: tuple[float, float]
    why: str
    fit: bool = False
    without_gpus: bool = False
    depth: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A seed beside what omniplan says of it."""

    seed: Seed
    prediction: omniplan.Prediction
    splits: int

    @property
    def error(self) -> float:
        """Predicted over the nearer end of what was measured, less 1."""
        value = self.prediction.decode_tokens_per_second.value
        low, high = self.seed.measured
        return value / min(max(value, low), high) - 1


def _seed(what: str, header: str, machine: str, args: str, measured: tuple[float, float] | float, why: str) -> Seed:
    ends = measured if isinstance(measured, tuple) else (measured, measured)
    return Seed(what=what, header=f"{header}.gguf", machine=machine, args=tuple(args.split()), measured=ends, why=why)


_V3 = "-ngl 19 -c 8192 -ts 75,25 -np 1"
_DESK = "dual-4090-5070ti"
_SEVEN = _seed(
    "Qwen2.5-Coder-7B Q4_K_M, CPU only, 192 threads", "Qwen2.5-Coder-7B-Q4_K_M", "omni-nps4",
    "-ngl 0 -c 16384 -b 512 -np 1 -t 192", 16.39,
    "the box was in NPS4 that day (NPS1 came four days later), and 192 threads share 96 cores",
)  # fmt: skip
_GLM = _seed(
    "GLM-4.7-Flash Q8_0 on both, placed by --fit (5 splits)", "GLM-4.7-Flash-Q8_0", _DESK,
    "-c 131072 -fitt 128,1024", 112,
    "one of the three runs that set the time of a layer of latent attention",
)  # fmt: skip
_SEED_NEXT = _seed(
    "Qwen3-Next-80B Q5_K_M, placed by --fit (55 splits)", "Qwen3-Next-80B-A3B-Q5_K_M", _DESK, "-c 262144", 33,
    "as above; the gain from fewer splits is 26 % measured",
)  # fmt: skip

SEEDS: Final = (
    _seed("DeepSeek-V3 Q3_K_M, NPS1", "DeepSeek-R1-Q3_K_M", "omni-nps1", _V3, 10.9,
          "bandwidth is STREAM's of a week later, after the memory was tuned; V3 and R1 have one shape"),
    _seed("DeepSeek-V3 Q3_K_M, NPS4", "DeepSeek-R1-Q3_K_M", "omni-nps4", _V3, 5.2,
          "this run set what several NUMA nodes cost (cpu.nps_power)"),
    _seed("DeepSeek-R1 Q4_K_M, one GPU", "DeepSeek-R1-Q4_K_M", "omni-nps1",
          "-ngl 10 -sm none -c 4096 -np 1 -ctk q4_1 -ctv q4_1 -fa on", 11.74,
          "reads 1.07 of what STREAM triad says: triad's write-allocate traffic is not in its figure"),
    replace(_SEVEN, without_gpus=True),
    _seed("GLM-4.7-Flash Q4_K_M on the RTX 4090", "GLM-4.7-Flash-Q4_K_M", _DESK,
          "-ngl 99 -sm none -c 131072", (142, 147),
          "one of the three runs that set the time of a layer of latent attention"),
    _seed("GLM-4.7-Flash Q8_0 on both, by -ot (33 splits)", "GLM-4.7-Flash-Q8_0", _DESK,
          f"-c 10240 -ngl 99 -b 512 -ub 512 {_ON_4090}", 105,
          "as with 5 splits, plus 28 splits"),
    replace(_GLM, fit=True),
    _seed("gpt-oss-120b MXFP4, 13 + 5 layers on GPUs", "gpt-oss-120b-MXFP4_MOE", _DESK,
          f"-c 10240 -ngl 99 -ub 512 {_OSS}", 22, "MXFP4 per core: 2.2 to 3.5 GB/s"),
    _seed("Qwen3-Next-80B Q5_K_M, 17 + 8 layers by -ot (136 splits)", "Qwen3-Next-80B-A3B-Q5_K_M", _DESK,
          f"-c 262144 -ngl 99 -ub 512 {_NEXT}", 26.5, "RAM is the diary's guess, 50 GB/s"),
    replace(_SEED_NEXT, fit=True),
)  # fmt: skip


def outcomes() -> Iterator[Outcome]:
    """Every seed, predicted."""
    for seed in SEEDS:
        model = omniplan.load_model(path_of(seed.header))
        machine = omniplan.load_machine(seed.machine)
        args = [*seed.args, *(() if "-np" in seed.args else _KV)]
        if seed.without_gpus:
            machine = replace(machine, gpus=())
        if seed.fit:
            chosen = omniplan.fit(model, machine, args).args
            args = [*args, *chosen, "--fit", "off"]
        splits = omniplan.footprint(model, machine, args).graph_splits
        prediction = omniplan.predict(model, machine, args, n_prompt=0, n_gen=128, depth=seed.depth)
        yield Outcome(seed=seed, prediction=prediction, splits=splits.decode if splits else 0)
