"""What ``--fit`` asks llama.cpp for: bytes on each device of a layout, counted as far as somebody looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from omniplan.domain.footprint import BufferSize, sum_of
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.llamacpp.ggml.allocate import bounds, peak
from omniplan.llamacpp.ggml.splits import Schedule
from omniplan.llamacpp.load.compute import prompt
from omniplan.llamacpp.load.footprint import host_bytes
from omniplan.llamacpp.load.place import measure, measured_with, place
from omniplan.llamacpp.load.placement import Placement


class Used:
    """Bytes on each of the devices ``names``, with what is ``beside`` the main model's.

    Of a layout one device or two are compared with their targets, and a simulation of one takes a fraction of all.
    """

    def __init__(
        self,
        model: Model,
        machine: Machine,
        params: ServerParams,
        names: Sequence[str],
        beside: Mapping[str, BufferSize],
    ) -> None:
        self._asked = model, machine, params
        self._names = names
        self._beside = beside
        # llama.cpp refuses a layout before it measures it.
        self._weights = _held(*self._asked)

    def __iter__(self) -> Iterator[int]:
        return (self[index] for index in range(len(self._names)))

    def __getitem__(self, index: int) -> int:
        return self._least(index) + _compute(*self._asked, self._names[index])

    def _least(self, index: int) -> int:
        """Bytes on a device before any computing."""
        name = self._names[index]
        return self._weights[name].total + (self._beside[name].total if name in self._beside else 0)

    def exceeds(self, index: int, size: int) -> bool:
        """Whether more than ``size`` bytes are on a device; nothing is simulated where weights and caches are more."""
        return self._least(index) > size or self[index] > size

    def is_less_than(self, size: int) -> bool:
        """Whether all devices together use less; compute buffers are counted only where no bound says so."""
        held = sum(self._least(index) for index in range(len(self._names)))
        return held + _most(*self._asked) < size or sum(self) < size

    @property
    def model(self) -> int:
        """Bytes of weights on all of them."""
        every = sum_of((self._weights, self._beside))
        return sum(every[name].model for name in self._names)

    @property
    def host(self) -> int:
        """Bytes in RAM."""
        return host_bytes(sum_of((measure(self._asked[0], _placed(*self._asked)), self._beside)))


@lru_cache(maxsize=8)
def _placed(model: Model, machine: Machine, params: ServerParams) -> Placement:
    return place(model, machine, params, no_alloc=True)


@lru_cache(maxsize=4)
def _scheduled(model: Model, machine: Machine, params: ServerParams) -> Schedule:
    return prompt(model, _placed(model, machine, params))


@lru_cache(maxsize=256)
def _held(model: Model, machine: Machine, params: ServerParams) -> Mapping[str, BufferSize]:
    return measured_with(model, _placed(model, machine, params), {})


@lru_cache(maxsize=512)
def _compute(model: Model, machine: Machine, params: ServerParams, name: str) -> int:
    plan = _scheduled(model, machine, params)
    return next(peak(plan, b) for b, device in enumerate(plan.homes.devices) if device.buffer == name)


@lru_cache(maxsize=64)
def _most(model: Model, machine: Machine, params: ServerParams) -> int:
    """Bytes that no compute buffers exceed together."""
    return sum(bounds(_scheduled(model, machine, params)))
