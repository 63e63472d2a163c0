"""A plan as a process runs it that sees no GPU but those it uses, which CUDA then numbers from 0."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from omniplan.domain.plan import Plan
from omniplan.llamacpp.flags.args import read_flags
from omniplan.machines.probe.order import pin

_DEVICE: Final = re.compile(r"\bCUDA\d+\b")


def visible(plan: Plan, gpus: Sequence[str]) -> Plan:
    """``plan`` where ``gpus`` of its machine, in its order, are all there are; its price keeps the machine's names."""
    seen = [gpu for gpu in plan.machine.gpus if gpu.name in gpus]
    names = {gpu.name: f"CUDA{at}" for at, gpu in enumerate(seen)}
    index = {str(plan.machine.gpus.index(gpu)): str(at) for at, gpu in enumerate(seen)}
    renamed = tuple(replace(gpu, name=names[gpu.name]) for gpu in seen)
    return replace(
        plan,
        machine=replace(plan.machine, gpus=renamed),
        server_args=tuple(_args(plan.server_args, names, index)),
        environment={**_others(plan), **pin(renamed)},
    )


def _others(plan: Plan) -> Mapping[str, str]:
    """The environment but for what numbers the GPUs of the whole machine."""
    pinned = pin(plan.machine.gpus)
    return {name: value for name, value in plan.environment.items() if name not in pinned}


def _args(args: Sequence[str], names: Mapping[str, str], index: Mapping[str, str]) -> Iterator[str]:
    """Arguments with the new names and numbers; all devices is what is there by itself."""
    for flag in read_flags(args):
        if flag.row.key == "device" and names:
            continue
        if flag.row.key == "main-gpu":
            yield from (flag.name, *(index.get(value, value) for value in flag.values))
        else:
            yield from (_DEVICE.sub(lambda match: names.get(match[0], match[0]), arg) for arg in flag.args)
