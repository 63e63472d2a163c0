"""What the machine itself asks for beside a placement: threads, NUMA, and GPUs pinned by identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.footprint import Footprint
from omniplan.domain.hosts import own_gpus
from omniplan.domain.machine import Machine
from omniplan.domain.params import ServerParams
from omniplan.llamacpp.ggml import buffers
from omniplan.machines.probe.advice import STREAMS, advise, spill_advice, threads
from omniplan.machines.probe.order import pin
from omniplan.units import mib


def streamed(priced: Footprint) -> int:
    """Bytes of weights a token reads from RAM, 0 when only the token embedding is there."""
    held = sum(size.model for name, size in priced.buffers.items() if buffers.is_host(name))
    return held if held >= STREAMS else 0


def with_threads(params: ServerParams, machine: Machine, priced: Footprint) -> ServerParams:
    """``params`` with threads where weights stream from RAM and the cores are known."""
    size = streamed(priced)
    if not size:
        return params
    counts = threads(machine, size)
    return replace(
        params, n_threads=counts.decode or params.n_threads, n_threads_batch=counts.batch or params.n_threads_batch
    )


def host_reasons(machine: Machine, priced: Footprint) -> Iterator[Reason]:
    """What Windows does without a word; NUMA and threads, for weights that stream from RAM; how GPUs were pinned."""
    used = {name for name, size in priced.buffers.items() if size.total}
    yield from (item.reason() for item in spill_advice(machine, used))
    if size := streamed(priced):
        yield from (item.reason() for item in advise(machine, size))
    if environment := environment_of(machine):
        yield Reason(
            verdict=ReasonVerdict.CHOSEN,
            subject=" ".join(f"{name}={value}" for name, value in environment.items()),
            statement="CUDA's order, nvidia-smi's and PCI's differ: the GPUs are pinned so that CUDA0 is the one meant",
            source="CUDA C++ Programming Guide, environment variables; docs/lessons.md#l1",
        )


def learned_reasons(machine: Machine, priced: Footprint) -> Iterator[Reason]:
    """What runs taught about the GPUs in use and about speed, and how the plan keeps to it."""
    for gpu in machine.gpus:
        used = priced.buffers.get(gpu.name)
        if not gpu.learned or used is None or not used.total:
            continue
        beside = f"{mib(gpu.beside)} in use beside a model" if gpu.beside is not None else ""
        factor = gpu.compute_factor
        compute = f"compute buffers {factor:.2f} times the predicted" if factor is not None else ""
        statement = f"{', '.join(filter(None, (beside, compute)))}; the headroom above keeps to that"
        yield Reason(
            verdict=ReasonVerdict.NOTE, subject=f"learned on {gpu.name}", statement=statement, source=gpu.learned
        )
    if machine.constants:
        statement = f"{len(machine.constants)} constants of the time model are this machine's own"
        yield Reason(verdict=ReasonVerdict.NOTE, subject="learned speed", statement=statement, source=machine.learned)


def environment_of(machine: Machine) -> Mapping[str, str]:
    """The environment that makes CUDA number the GPUs as the machine lists them; other hosts have their own."""
    return pin(own_gpus(machine))
