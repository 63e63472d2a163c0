"""What a compute buffer is said to be made of: sizes that follow from shapes, and a sum that is the buffer."""

from __future__ import annotations

import pytest

import omniplan
from omniplan.domain.footprint import ComputePart, Footprint
from tests.oracle import cases

MODEL = "Llama-3.1-8B-Q4_K_M"
# A mask of f16 for each token of a micro-batch and each cell.
MASK = 8192 * 512 * 2


def priced(*args: str) -> Footprint:
    machine = omniplan.load_machine("dual-4090-5070ti")
    return omniplan.footprint(
        cases.model(MODEL), machine, ["-c", "8192", "-np", "1", "-fa", "on", "--fit", "off", *args]
    )


def part(found: Footprint, buffer: str, kind: ComputePart) -> int:
    return found.compute_parts[buffer].get(kind, 0)


@pytest.mark.parametrize("args", [("-ngl", "99", "-sm", "none"), ("-ngl", "99"), ("-ngl", "20"), ("-ngl", "0")])
def test_parts_are_the_buffer(args: tuple[str, ...]) -> None:
    """Every byte of every buffer has a part, none is counted twice."""
    found = priced(*args)

    assert {name: sum(parts.values()) for name, parts in found.compute_parts.items()} == {
        name: size.compute for name, size in found.buffers.items() if size.compute
    }


def test_masks_and_inputs_are_told_apart() -> None:
    """A mask per cell and token on every device, of f32 without flash attention; positions and rows are small."""
    found = priced("-ngl", "99", "-sm", "none")

    assert [part(found, name, ComputePart.MASKS) for name in ("CUDA0", "CUDA_Host")] == [MASK, MASK]
    assert part(priced("-ngl", "99", "-sm", "none", "-fa", "off"), "CUDA0", ComputePart.MASKS) == 2 * MASK
    # A position and a row of keys and of values for each token, and padding.
    assert 512 * (4 + 8 + 8) <= part(found, "CUDA0", ComputePart.INPUTS) < 512 * (4 + 8 + 8) + 1024
    assert not part(found, "CUDA0", ComputePart.OFFLOAD)
    assert not part(found, "CUDA0", ComputePart.PIPELINE)


def test_a_pipeline_keeps_three_more_of_each_input() -> None:
    """Of masks and of what one GPU hands to the next."""
    found = priced("-ngl", "99")
    once = sum(part(found, "CUDA1", kind) for kind in (ComputePart.MASKS, ComputePart.INPUTS))

    copies, left = divmod(part(found, "CUDA1", ComputePart.PIPELINE), 3)

    assert left == 0
    assert copies >= once + 512 * 4096 * 4


def test_weights_in_ram_are_copied_to_the_gpu_for_a_prompt() -> None:
    """The largest matrix of a layer, as the file has it."""
    largest = max(tensor.nbytes for tensor in cases.model(MODEL).header.tensors if tensor.name.startswith("blk."))

    assert part(priced("-ngl", "20", "-sm", "none"), "CUDA0", ComputePart.OFFLOAD) >= largest // 2
    assert not part(priced("-ngl", "20", "-sm", "none", "--no-op-offload"), "CUDA0", ComputePart.OFFLOAD)
