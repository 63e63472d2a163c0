"""CUDA's device order, and what changes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.machine import Gpu
from omniplan.errors import InputError
from omniplan.machines.probe.order import by_pci, cuda_order, pin
from tests.refusals import check_one_line


def _gpu(description: str, uuid: str, pci: str, total: int = 24576) -> Gpu:
    return Gpu(name="NVML0", description=description, total=total << 20, free=total << 20, uuid=uuid, pci=pci)


PRO = _gpu("RTX PRO 6000 Blackwell", "GPU-6000", "0000:f1:00.0", 97887)
G5090 = _gpu("RTX 5090", "GPU-5090", "0000:11:00.0", 32607)
BOTH = "GPU-6000,GPU-5090"


def _names(environment: dict[str, str], *gpus: Gpu) -> list[str]:
    return [f"{gpu.name}={gpu.uuid}" for gpu in cuda_order(gpus or (G5090, PRO), environment).gpus]


ORDERS = {
    "PCI order is nvidia-smi's": ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, ["CUDA0=GPU-5090", "CUDA1=GPU-6000"]),
    "UUIDs give the order": ({"CUDA_VISIBLE_DEVICES": BOTH}, ["CUDA0=GPU-6000", "CUDA1=GPU-5090"]),
    "UUIDs turned round": ({"CUDA_VISIBLE_DEVICES": "GPU-5090,GPU-6000"}, ["CUDA0=GPU-5090", "CUDA1=GPU-6000"]),
    "the beginning of a UUID is enough": ({"CUDA_VISIBLE_DEVICES": "GPU-50"}, ["CUDA0=GPU-5090"]),
    "a beginning that two share is none": ({"CUDA_VISIBLE_DEVICES": "GPU-"}, []),
    "indices count in the device order": (
        {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1,0"},
        ["CUDA0=GPU-6000", "CUDA1=GPU-5090"],
    ),
    "one index": ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1"}, ["CUDA0=GPU-6000"]),
    "what follows an unknown index is hidden": (
        {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "0,7,1"},
        ["CUDA0=GPU-5090"],
    ),
    "empty hides all": ({"CUDA_VISIBLE_DEVICES": ""}, []),
    "-1 hides all": ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
}


@pytest.mark.parametrize(("environment", "expected"), ORDERS.values(), ids=ORDERS.keys())
def test_orders(environment: dict[str, str], expected: list[str]) -> None:
    assert _names(environment) == expected


def test_the_default_is_a_guess_and_says_so() -> None:
    """The diary's 5090 was index 0 in nvidia-smi and 1 in CUDA."""
    order = cuda_order((G5090, PRO), {})

    assert [gpu.uuid for gpu in order.gpus] == ["GPU-6000", "GPU-5090"]
    assert "is taken for CUDA0" in order.assumptions[0]
    assert order.pin == {"CUDA_VISIBLE_DEVICES": BOTH}


def test_equal_gpus_need_no_guess() -> None:
    gpus = [_gpu("RTX 3090", f"GPU-{index}", f"0000:{index:02x}:00.0") for index in (9, 10)]

    order = cuda_order(list(reversed(gpus)), {})

    assert [gpu.uuid for gpu in order.gpus] == ["GPU-9", "GPU-10"]
    assert order.assumptions == ()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0,0"}, "names a GPU twice"),
        ({"CUDA_VISIBLE_DEVICES": "MIG-1234"}, "is a MIG instance"),
        ({"CUDA_DEVICE_ORDER": "SLOWEST"}, "expected FASTEST_FIRST or PCI_BUS_ID"),
    ],
)
def test_bad_environments(environment: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cuda_order((G5090, PRO), environment)


def test_pinning_without_uuids_goes_by_pci() -> None:
    gpus = [_gpu("a", "", "0000:f1:00.0"), _gpu("b", "", "0000:11:00.0")]

    assert pin(gpus) == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "1,0"}
    assert pin([_gpu("a", "", ""), _gpu("b", "", "")]) == {}
    assert pin(gpus[:1]) == {}


@given(st.permutations(range(5)), st.booleans())
def test_a_pin_gives_back_the_order_it_pins(places: list[int], with_uuids: bool) -> None:
    """Under the environment of ``pin`` CUDA numbers the GPUs as listed, whatever order they were found in."""
    names = ("RTX 3090", "RTX 4090", "RTX 5090", "RTX 3060 Ti", "RTX 4070")
    gpus = [_gpu(names[i], f"GPU-{i}" if with_uuids else "", f"0000:{i:02x}:00.0") for i in places]

    order = cuda_order(by_pci(gpus), dict(pin(gpus)))

    assert [gpu.pci for gpu in order.gpus] == [gpu.pci for gpu in gpus]
    assert [gpu.name for gpu in order.gpus] == [f"CUDA{index}" for index in range(5)]


@given(st.text(max_size=30))
def test_any_variable_is_an_order_or_an_input_error(value: str) -> None:
    try:
        chosen = cuda_order((G5090, PRO), {"CUDA_VISIBLE_DEVICES": value}).gpus
    except InputError as error:
        check_one_line(error)
    else:
        assert len({gpu.uuid for gpu in chosen}) == len(chosen) <= 2
