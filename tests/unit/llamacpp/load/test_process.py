"""What CUDA takes of a card beside the buffers, by card, work and pinned RAM."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.footprint import BufferSize, ContextKind
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.params import LoadMode, ServerParams, SplitMode
from omniplan.domain.process import ProcessPart
from omniplan.llamacpp.load.process import process
from omniplan.machines.gpus import find_gpu
from omniplan.units import GIB, MIB
from tests.contracts.sources import ROOT
from tests.oracle import cases

R1 = ROOT / "data/models/DeepSeek-R1-Q4_K_M.gguf"
SIZE = BufferSize(model=GIB)


def machine(*descriptions: str) -> Machine:
    """A machine with these cards, as large as they are."""
    rows = (find_gpu(text) for text in descriptions)
    sizes = [row.memory if row else 24 * GIB for row in rows]
    gpus = (
        Gpu(name=f"CUDA{i}", description=text, total=size, free=size)
        for i, (text, size) in enumerate(zip(descriptions, sizes, strict=True))
    )
    return Machine(name="m", gpus=tuple(gpus))


def test_a_card_without_a_layer_has_a_context_all_the_same() -> None:
    """Two RTX 3090, of which one holds the model: 256 MiB on the other, as nvidia-smi shows."""
    shares = process(machine("RTX 3090", "RTX 3090"), ServerParams(n_parallel=1), {ContextKind.MAIN: {"CUDA0": SIZE}})

    assert {ProcessPart.CONTEXT: 256 * MIB} == shares["CUDA1"].parts
    assert 289 * MIB <= shares["CUDA0"].total <= 320 * MIB
    assert shares["CUDA0"].is_measured


@pytest.mark.parametrize(
    ("description", "is_measured", "least", "most"),
    [
        ("RTX 3090", True, 289, 383),
        ("RTX 4090", True, 460, 470),
        ("RTX PRO 6000 Blackwell", True, 690, 750),
        ("RTX 3090 Ti", False, 290, 383),
        ("a card nobody knows", False, 300, 750),
    ],
)
def test_ranges_are_stated(description: str, is_measured: bool, least: int, most: int) -> None:
    """Cards without a row are assumed by their multiprocessors, others as something in between."""
    share = process(machine(description), ServerParams(n_parallel=1), {ContextKind.MAIN: {"CUDA0": SIZE}})["CUDA0"]

    assert share.is_measured == is_measured
    assert least * MIB <= share.low <= share.total <= share.high <= most * MIB
    assert share.source


@given(weights=st.integers(0, 512 * GIB), mode=st.sampled_from(LoadMode))
def test_pinned_ram_costs_page_tables_on_every_card(weights: int, mode: LoadMode) -> None:
    """Eight bytes for each page of 4 KiB; with mmap weights are not pinned, compute buffers are."""
    contexts = {ContextKind.MAIN: {"CUDA0": SIZE, "CUDA_Host": BufferSize(model=weights, compute=GIB)}}
    shares = process(machine("RTX 3090", "RTX 5090"), ServerParams(n_parallel=1, load_mode=mode), contexts)

    is_pinned = mode in (LoadMode.NONE, LoadMode.DIO, LoadMode.MLOCK)
    expected = (weights * is_pinned + GIB) // 4096 * 8
    assert {share.parts[ProcessPart.PAGE_TABLES] for share in shares.values()} == {expected}


def test_what_else_a_process_may_do() -> None:
    """A context that drafts, tensors divided over two cards and four clients take more; no other back end does."""
    both = {"CUDA0": SIZE, "CUDA1": SIZE}
    params = ServerParams(n_parallel=4, split_mode=SplitMode.TENSOR)
    contexts = {ContextKind.MAIN: both, ContextKind.MTP: {"CUDA0": SIZE}}
    first, second = process(machine("RTX 3090", "RTX 3090"), params, contexts).values()

    assert first.total - second.total == first.parts[ProcessPart.SECOND] == 80 * MIB
    assert second.parts[ProcessPart.DIVIDED] == 45 * MIB
    assert second.parts[ProcessPart.CLIENTS] == 33 * MIB
    other = Machine(name="v", gpus=(Gpu(name="Vulkan0", description="RX 6800", total=GIB, free=GIB),))
    assert process(other, params, contexts) == {}


def test_pinned_experts_of_deepseek_still_fit() -> None:
    """Half a GiB of page tables on each card of a machine that holds its experts in pinned RAM, all of it kept free."""
    made = omniplan.plan(R1, omniplan.load_machine("omni-nps1"), n_ctx=32768, load_mode=LoadMode.NONE)

    tables = {margin.pool: margin.parts.get(ProcessPart.PAGE_TABLES, 0) for margin in made.margins}
    assert min(tables["CUDA0"], tables["CUDA1"]) > 500 * MIB
    assert min(margin.left for margin in made.margins) >= 0


def test_a_footprint_says_it_of_every_card() -> None:
    """And no pool counts it as used."""
    model = cases.model("Qwen3-0.6B-Q8_0")
    priced = omniplan.footprint(model, machine("RTX 3090", "RTX 3090"), ["-c", "4096", "-ngl", "99", "-sm", "none"])

    assert {"CUDA0", "CUDA1"} == set(priced.process)
    assert priced.vram["CUDA0"] == priced.buffers["CUDA0"].total + priced.process["CUDA0"].total
    assert priced.vram["CUDA1"] == priced.process["CUDA1"].total
    assert priced.pools[0].used == priced.buffers["CUDA0"].total
