"""Buffers on Metal: the library's own figures, its graphs reordered by Metal's own code.

``ggml-metal-common.cpp`` and ``ggml-metal-fusion.cpp`` of b11434 were compiled and stood behind the simulated device's
``graph_optimize``, so that order, kept tensors and all that follows are llama.cpp's; what a node keeps and which nodes
have a kernel are ours.
"""

from __future__ import annotations

import os

import pytest

import omniplan
from omniplan.certify import library
from omniplan.llamacpp.ggml.metal import metal
from tests.oracle import cases, drift
from tests.oracle.cases import differences
from tests.unit.llamacpp.ggml.graphs import tensor, weight
from tests.unit.llamacpp.ggml.test_cuda import attention

ALL = [case for case in cases.load("metal") if "error" not in case]
SAMPLE = ALL[:: max(1, 3 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]
APPLE = cases.machines()["apple"]
LATEST = 11434


def test_every_figure_on_metal() -> None:
    """Three columns of every buffer, splits of both graphs and context."""
    found = {cases.label(case): differences(case, library.BUILD) for case in SAMPLE}

    assert len(ALL) >= 40
    assert {label: wrong for label, wrong in found.items() if wrong} == {}


@pytest.mark.skipif(not library.is_available(), reason="the pinned xllamacpp is not installed")
def test_the_library_with_our_order_counts_what_it_did_with_metals() -> None:
    """Routed experts with a cache that is quantised: attention, products and norms all keep something."""
    case = next(case for case in ALL if "moe" in case["model"] and "q8_0" in case["args"])

    assert drift.row(drift.ask(case)) == case


def test_a_mapped_file_counts_from_the_first_to_the_last_tensor_on_the_device() -> None:
    """As a Mac with b7217 printed it for the same file: 11,536.18 MiB, the embedding in the middle included."""
    model, args = cases.model("gpt-oss-20b-MXFP4_MOE"), ["-c", "4096", "-ngl", "99"]
    mapped = omniplan.footprint(model, APPLE, args).buffers
    read = omniplan.footprint(model, APPLE, [*args, "--load-mode", "none"]).buffers

    assert [round(mapped[name].model / 2**20, 2) for name in ("MTL0", "CPU")] == [11536.18, 586.82]
    assert mapped["MTL0"].model - read["MTL0"].model == mapped["CPU"].model


def test_attention_keeps_k_and_v_in_f16_whatever_their_type() -> None:
    """Since b10549; a quantised cache takes no more of that than one in f16."""
    copies = {
        kind: [metal(number).scratch(attention(kind=kind), 0) for number in (10531, 10549, LATEST)]
        for kind in ("f16", "q8_0")
    }

    assert all(later - before == 2 * 2 * 4096 * 128 * 8 for before, later, _ in copies.values())
    assert all(later == latest for _, later, latest in copies.values())


@pytest.mark.parametrize(("number", "sums"), [(11000, 0), (LATEST, 1032)])
def test_products_with_experts_keep_who_wants_which(number: int, sums: int) -> None:
    """A count for each expert, a place for each token at each expert, and sums since b11040."""
    bank, x, ids = weight("a", 64, 32, 8), tensor("NONE", (64, 1, 100)), tensor("NONE", (2, 100), kind="i32")
    node = tensor("MUL_MAT_ID", (32, 2, 100), bank, x, ids)

    assert metal(number).scratch(node, 0) == 4 * 8 * (1 + 100) + sums


def test_what_only_metal_lacks() -> None:
    """K and V of different types, a cache in iq4_nl, linear attention with a gate; heads of 40 it has."""
    mixed = attention()
    mixed.src = (*mixed.src[:2], attention(kind="q8_0").src[2], *mixed.src[3:])

    assert not any(map(metal(LATEST).supports, (mixed, attention(kind="iq4_nl"), tensor("GATED_LINEAR_ATTN", (8, 4)))))
    assert all(map(metal(LATEST).supports, (attention(), attention(kind="q8_0"), attention(head=40))))


def test_only_products_are_taken_over() -> None:
    """Weights in RAM are multiplied on the GPU from 32 rows on; nothing else is."""
    rows = {n: tensor("MUL_MAT", (32, n), weight("a", 64, 32), tensor("NONE", (64, n))) for n in (31, 32)}

    assert [metal(LATEST).offloads(node) for node in rows.values()] == [False, True]
    assert not metal(LATEST).offloads(tensor("ADD", (64, 512), tensor("NONE", (64, 512)), weight("a", 64)))


def test_older_builds_leave_more_to_the_cpu() -> None:
    """Indexers since b10261, quantised rows that are joined since b10729."""
    joined = tensor("CONCAT", (64, 8), *(tensor("NONE", (64, 4), kind="q8_0") for _ in range(2)), kind="q8_0")

    assert [metal(number).supports(joined) for number in (10698, 10729, LATEST)] == [False, True, True]
    assert metal(9000).supports(tensor("CONCAT", (64, 8), *(tensor("NONE", (64, 4)) for _ in range(2))))
