"""Backends, splits and split inputs of small graphs."""

from __future__ import annotations

import pytest

from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.schedule import CannotRun, assign
from omniplan.llamacpp.ggml.splits import Schedule, schedule
from omniplan.llamacpp.graph.node import Node
from tests.unit.llamacpp.ggml.graphs import GPU0, GPU1, HOST, cache, cpu, given, homes, tensor, view, weight

BOTH = (GPU0, GPU1, HOST)


def chain(*weights: str, tokens: int = 64) -> list[Node]:
    """An input, then a product and an unweighted norm for each weight."""
    x = given("x", 64, tokens)
    nodes: list[Node] = []
    for name in weights:
        x = tensor("MUL_MAT", (64, tokens), weight(name, 64, 64), x)
        nodes += [x, tensor("RMS_NORM", (64, tokens), x)]
        x = nodes[-1]
    return nodes


def shape(plan: Schedule) -> list[tuple[int, list[str]]]:
    """Backend and names of the inputs of each split; a node without a name shows its op."""
    tensors = plan.graph.tensors
    return [(s.backend, [tensors[i].name or tensors[i].op for i in s.inputs]) for s in plan.splits]


def test_nodes_follow_their_weights_and_neighbours() -> None:
    """A node without a weight joins the device before it."""
    backend = assign(Prepared(chain("a", "b")), homes({"a": "CUDA0", "b": "CUDA1"}, *BOTH))

    assert backend[:4] == [0, 0, 1, 1]


def test_each_device_takes_its_inputs_once() -> None:
    """A split copies in what another backend computed."""
    plan = schedule(Prepared(chain("a", "b")), homes({"a": "CUDA0", "b": "CUDA1"}, *BOTH))

    assert shape(plan) == [(0, ["x"]), (1, ["RMS_NORM"])]


def test_pinned_norm_goes_to_its_layer() -> None:
    """A norm that llama.cpp pins runs on its layer's device, not on the one before."""
    nodes = chain("a", "b")
    nodes[1].name, nodes[1].il = "norm", 1

    plan = schedule(Prepared(nodes), homes({"a": "CUDA0", "b": "CUDA1"}, *BOTH))

    assert shape(plan) == [(0, ["x"]), (1, ["MUL_MAT"])]


@pytest.mark.parametrize(
    ("tokens", "op_offload", "expected"),
    [
        (32, True, [(0, ["x", "a"]), (0, ["b"])]),
        (31, True, [(2, [])]),
        (32, False, [(2, [])]),
    ],
)
def test_offload_of_host_weights(tokens: int, op_offload: bool, expected: list[tuple[int, list[str]]]) -> None:
    """From 32 rows on the first device borrows a host weight; each weight opens a split of its own."""
    where = homes({"a": "CUDA_Host", "b": "CUDA_Host"}, *BOTH, op_offload=op_offload)

    actual = shape(schedule(Prepared(chain("a", "b", tokens=tokens)), where))

    assert [(b, sorted(i, reverse=True)) for b, i in actual] == expected


def test_opaque_weights_are_not_offloaded() -> None:
    """Repacked weights are no host memory, so their nodes stay on the CPU."""
    where = homes({"a": "CPU_REPACK"}, *BOTH)

    assert shape(schedule(Prepared(chain("a")), where)) == [(2, [])]


def test_view_of_a_cache_stays_with_the_cache() -> None:
    """Writing into a cache happens where the cache is; reading it elsewhere copies it."""
    kv, rows = cache("kv", 64, 256), given("rows", 64, kind="i64")
    product = tensor("MUL_MAT", (64, 64), weight("a", 64, 64), given("x", 64, 64))
    stored = tensor("SET_ROWS", (64, 256), product, rows, view(kv), kind="f16")
    stored.view_src = kv
    seen = view(kv)
    scores = tensor("MUL_MAT", (256, 64), seen, product)
    logits = tensor("MUL_MAT", (64, 64), weight("b", 256, 64), scores)

    plan = schedule(
        Prepared([product, stored, seen, scores, logits]), homes({"a": "CUDA0", "kv": "CPU", "b": "CUDA0"}, *BOTH)
    )

    assert shape(plan) == [(0, ["x"]), (2, ["MUL_MAT"]), (0, ["VIEW"])]


def test_unsupported_operations_run_on_the_cpu() -> None:
    """A node that CUDA has no kernel for interrupts the device."""
    nodes = chain("a", "b")
    nodes[1].op = "NO_SUCH_OP"

    plan = schedule(Prepared(nodes), homes({"a": "CUDA0", "b": "CUDA0"}, GPU0, HOST))

    assert [b for b, _ in shape(plan)] == [0, 1, 0]


def test_tensor_on_a_device_that_is_not_used() -> None:
    """llama.cpp aborts on a weight that no backend can read; so do we, with its name."""
    with pytest.raises(CannotRun, match="'a' in buffer type CUDA7"):
        schedule(Prepared(chain("a")), homes({"a": "CUDA7"}, *BOTH))


def test_one_tensor_asked_for_by_two_layers_is_copied_once() -> None:
    """Leafs of one name in one buffer type are one tensor."""
    first, second = weight("rope_freqs", 32), weight("rope_freqs", 32)
    x = tensor("MUL_MAT", (64, 64), weight("a", 64, 64), given("x", 64, 64))
    y = tensor("ROPE", (64, 64), x, given("pos", 64, kind="i32"), first)
    z = tensor("ROPE", (64, 64), y, y.src[1], second)

    plan = schedule(Prepared([x, y, z]), homes({"rope_freqs": "CPU", "a": "CUDA0"}, GPU0, HOST))

    assert [name for _, inputs in shape(plan) for name in inputs].count("rope_freqs") == 1


def test_cpu_only() -> None:
    """Without a device there is one split."""
    plan = schedule(Prepared(chain("a", "b")), homes({"a": "CPU", "b": "CPU"}, cpu(is_pinned=False)))

    assert shape(plan) == [(0, [])]
