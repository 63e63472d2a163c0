"""Our graphs against the ones llama.cpp b11434 built for 135 headers: operations, shapes, strides, views, sources."""

from __future__ import annotations

from typing import Final

import pytest

from omniplan.gguf.model.architectures import known
from omniplan.llamacpp.graph.families import FAMILIES
from tests.oracle import compare_graph
from tests.oracle.compare_graph import VARIANTS, Comparison, Difference

_IDS: Final = [f"{key}-{phase}" for key, phase, _, _ in VARIANTS]
# Encoder-decoders, encoders, drafts that need their target, a projector, a name without a loader, one with heads that
# decide; and two decoders (chameleon, graniteswitch) that nobody has restated.
WITHOUT_GRAPH: Final = frozenset(
    "chameleon clef clip dflash eagle3 gemma4-assistant gptj graniteswitch llama-embed t5 t5encoder vllm-decision2 "
    "wavtokenizer-dec".split()
)


def test_every_decoder_has_a_graph() -> None:
    """An architecture without one would get llama's graph and a wider margin."""
    assert known() == set(FAMILIES) | WITHOUT_GRAPH
    assert WITHOUT_GRAPH.isdisjoint(FAMILIES)


@pytest.mark.parametrize(("key", "phase", "flash_attn", "cache_type"), VARIANTS, ids=_IDS)
def test_graphs_equal_the_oracle_s(key: str, phase: str, flash_attn: bool, cache_type: str) -> None:
    """Every node of the GPU's part of every graph is ours, in the same order."""
    found = {
        name: compare_graph.compare(name, key, phase, flash_attn=flash_attn, cache_type=cache_type)
        for name in compare_graph.names()
    }

    assert {} == {name: difference for name, difference in found.items() if difference is not None}


@pytest.mark.parametrize("change", ["op", "ne", "flags", "src"])
def test_a_changed_node_is_found(change: str) -> None:
    """The comparison sees a different operation, shape, flag or source."""
    dump = compare_graph.load_dump("qwen3-dense")["fa"]
    graph = compare_graph.build_variant("qwen3-dense", "prefill", flash_attn=True, cache_type="f16")
    node = next(node for node in graph.nodes if node.op == "GLU:SWIGLU")
    changed = {"op": "GLU:GEGLU", "ne": (1, 1, 1, 1), "flags": 0, "src": tuple(reversed(node.src))}[change]
    setattr(node, change, changed)
    parts = dump["prefill"]

    with pytest.raises(Difference):
        Comparison(graph.nodes, dump["total_nodes"] - sum(len(part["nodes"]) for part in parts)).run(parts)


def test_a_missing_node_is_found() -> None:
    """A graph that lacks its last node is not equal."""
    dump = compare_graph.load_dump("qwen3-dense")["fa"]
    graph = compare_graph.build_variant("qwen3-dense", "prefill", flash_attn=True, cache_type="f16")

    with pytest.raises(Difference, match="our graph has ended"):
        Comparison(graph.nodes[:-1], None).run(dump["prefill"])
