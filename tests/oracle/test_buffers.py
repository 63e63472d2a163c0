"""Compute buffers and splits of llama.cpp's own graphs on one GPU with every layer, against the oracle's figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniplan.domain.defaults import DEFAULT_BUILD
from omniplan.llamacpp.build import known
from omniplan.llamacpp.ggml.allocate import allocate
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.schedule import Homes
from omniplan.llamacpp.ggml.splits import schedule
from omniplan.llamacpp.graph.node import Node
from tests.oracle.graph_json import HOST, build, load
from tests.unit.llamacpp.ggml.graphs import cpu, gpu

GRAPHS = Path(__file__).parents[1] / "data" / "graphs"

# The oracle's CUDA0 compute bytes: -c 4096 -np 1 -ngl 99 with f16 caches on an RTX 4090; then, on two GPUs of which
# only the first is used, with four pipeline copies: -fa off; -fa on and q8_0 caches.
EXPECTED = {
    "bailingmoe2-moe": (8403072, 62431744, 31842816),
    "gemma3-dense": (8675456, 73990656, 34308608),
    "glm4moe-moe": (8671360, 63504896, 30294528),
    "gpt-oss-moe": (11819136, 73982464, 33776128),
    "llama-dense": (8665216, 63480320, 30269952),
    "llama-moe": (11024512, 63480320, 30269952),
    "olmo2-dense": (8673408, 73458176, 33251840),
    "olmoe-moe": (11024512, 63480320, 30269952),
    "phi3-dense": (8665216, 63480320, 30269952),
    "qwen3-dense": (8665216, 77111808, 27189760),
    "qwen3moe-moe": (11024512, 63480320, 30269952),
}
VARIANTS = (("fa", 890, 1), ("nofa", 1200, 4), ("q8_kv", 1200, 4))


def _home(node: Node) -> str:
    return "CPU" if node.il == HOST else "CUDA0"


@pytest.mark.parametrize("column", range(3), ids=[variant[0] for variant in VARIANTS])
@pytest.mark.parametrize("name", EXPECTED)
def test_single_gpu(name: str, column: int) -> None:
    """The GPU's buffer agrees to the byte, and the graph falls into two splits."""
    key, capability, n_copies = VARIANTS[column]
    homes = Homes(
        devices=(gpu("CUDA0", capability), cpu()),
        home=_home,
        build=known(DEFAULT_BUILD),
        layers=[0] * 100,
        n_copies=n_copies,
    )

    plan = schedule(Prepared(build(load(GRAPHS / f"{name}.json.gz")[key]["prefill"], 512)), homes)

    assert len(plan.splits) == 2
    assert allocate(plan).nbytes[0] == EXPECTED[name][column]
