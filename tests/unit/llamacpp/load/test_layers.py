"""Which device holds which layer, and when a prompt is worked on in a pipeline."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.ggml import registry
from omniplan.llamacpp.ggml.cpu import CPU
from omniplan.llamacpp.load.layers import layer_devices, pipeline_copies, split
from omniplan.units import MIB

GPUS = ("CUDA0", "CUDA1")
MACHINE = omniplan.Machine.from_dict(
    {"name": "two", "gpus": [{"name": name, "total_mib": size} for name, size in zip(GPUS, (3072, 1024), strict=True)]}
)


def counts(*args: str, n_layer: int = 7) -> list[int]:
    """Layers in RAM, on the first and on the second GPU; the output is one more."""
    found = layer_devices(parse(list(args)), MACHINE, GPUS, n_layer)
    return [found.count(name) for name in ("CPU", *GPUS)]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), [0, 6, 2]),
        (("-ngl", "4"), [4, 3, 1]),
        (("-ngl", "0"), [8, 0, 0]),
        (("-ngl", "8"), [0, 6, 2]),
        (("-ngl", "99"), [0, 6, 2]),
        (("-ts", "1,1"), [0, 4, 4]),
        (("-ts", "1,3"), [0, 2, 6]),
        (("-ts", "1,0"), [0, 8, 0]),
        (("-ts", "0,1"), [0, 0, 8]),
        (("-ts", "0,0"), [0, 6, 2]),
        (("-ts", "3"), [0, 8, 0]),
        (("-ngl", "5", "-ts", "1,1"), [3, 3, 2]),
    ],
)
def test_layers_are_divided_by_shares_or_by_what_is_free(args: tuple[str, ...], expected: list[int]) -> None:
    """Three to one by free memory; a border falls to the device that comes first."""
    assert MACHINE.gpus[0].free == 3 * MACHINE.gpus[1].free == 3072 * MIB
    assert counts(*args) == expected


def test_layers_in_ram_come_first() -> None:
    """Then device by device, the output last."""
    assert split(3, 3, GPUS, [2.0, 1.0]) == ("CPU", "CUDA0", "CUDA0", "CUDA1")
    assert split(3, 3, (), []) == ("CPU",) * 4


@pytest.mark.parametrize(
    ("args", "devices", "expected"),
    [
        ((), GPUS, 4),
        (("-ngl", "8"), GPUS, 4),
        (("-ngl", "7"), GPUS, 1),
        ((), GPUS[:1], 1),
        (("-sm", "row"), GPUS, 1),
        (("-nkvo",), GPUS, 1),
        (("-ot", "exps=CPU"), GPUS, 1),
    ],
)
def test_a_pipeline_needs_everything_on_several_gpus(
    args: tuple[str, ...], devices: tuple[str, ...], expected: int
) -> None:
    """All layers and the output, their caches too, split by layer, and no tensor elsewhere."""
    gpus = [registry.device(MACHINE.gpu(name)) for name in devices]

    assert pipeline_copies(parse(list(args)), 7, gpus) == expected


def test_a_pipeline_needs_back_ends_with_events() -> None:
    """One device that cannot signal that it is done, such as a remote one, makes all wait for each other."""
    gpu, other = map(registry.device, MACHINE.gpus)

    assert pipeline_copies(parse([]), 7, [gpu, replace(other, backend=CPU)]) == 1
