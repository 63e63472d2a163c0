"""The order in which Vulkan runs nodes; the oracle's cases hold it to the library's bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omniplan.llamacpp.ggml.backend import Device
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.splits import Schedule, schedule
from omniplan.llamacpp.ggml.vulkan import vulkan
from omniplan.llamacpp.graph.node import FLAG_OUTPUT, Node
from tests.unit.llamacpp.ggml.graphs import HOST, cache, homes, tensor, view, weight
from tests.unit.llamacpp.ggml.graphs import given as fed

# As they order nodes, in the order of the builds.
BUILDS = [9010, 9849, 10816, 11434]


def ordered(nodes: list[Node], build: int = 11434) -> Schedule:
    backend = vulkan(build)
    gpu = Device(name="Vulkan0", backend=backend, buffer="Vulkan0", memory=backend.memory)
    names = {leaf.name: "Vulkan0" for node in nodes for leaf in node.src}
    return schedule(Prepared(nodes), homes(names, gpu, HOST))


def product(name: str, x: Node) -> Node:
    return tensor("MUL_MAT", (64, 64), weight(name, 64, 64), x)


def test_products_of_one_input_come_together() -> None:
    """K does not wait until Q is rotated."""
    x, rows = fed("x", 64, 64), fed("rows", 64, kind="i32")
    q = product("q", x)
    rotated = tensor("ROPE", (64, 64), q, rows)
    k = product("k", x)
    nodes = [q, rotated, k, tensor("ROPE", (64, 64), k, rows)]

    assert ordered(nodes).order == [0, 2, 1, 3]


def test_a_bias_stays_behind_its_product() -> None:
    """One shader does both, and a second sum with what is there already."""
    x = fed("x", 64, 64)
    a = product("a", x)
    biased = tensor("ADD", (64, 64), a, weight("b", 64))
    c = product("c", x)
    total = tensor("ADD", (64, 64), biased, weight("d", 64, 64))

    assert ordered([a, biased, c, total]).order == [0, 1, 3, 2]


def stored(*, is_output: bool = False) -> list[Node]:
    """K is rotated and stored; what comes between is Q."""
    x, rows, where = fed("x", 64, 64), fed("rows", 64, kind="i32"), fed("where", 64, kind="i64")
    k, q = product("k", x), product("q", x)
    norm = tensor("RMS_NORM", (64, 64), k)
    scaled = tensor("MUL", (64, 64), norm, weight("n", 64))
    rotated = tensor("ROPE", (64, 64), scaled, rows)
    rotated.flags = FLAG_OUTPUT if is_output else 0
    seen = view(rotated)
    kept = tensor("SET_ROWS", (64, 4096), seen, where, kind="f16")
    kept.view_src = held = cache("cache", 64, 4096)
    kept.src = (seen, where, held)
    return [k, q, tensor("RMS_NORM", (64, 64), q), norm, scaled, rotated, seen, kept]


def test_norm_rotation_and_storing_stay_together() -> None:
    """They are one shader, so that nothing comes between."""
    order = ordered(stored()).order
    at = order.index(3)

    assert order[at : at + 5] == [3, 4, 5, 6, 7]


def test_routing_keeps_its_inputs_until_it_is_done() -> None:
    """The shader that chooses experts reads and writes at once; earlier builds did not care."""
    logits = product("router", fed("x", 64, 64))
    probs = tensor("SOFT_MAX", (64, 64), logits)
    table = view(probs, "RESHAPE", (1, 64, 64))
    order = tensor("ARGSORT", (64, 64), probs, kind="i32")
    top = view(order, shape=(8, 64))
    chosen = tensor("GET_ROWS", (1, 8, 64), table, top)
    after = tensor("SCALE", (1, 8, 64), chosen)

    nodes = [logits, probs, table, order, top, chosen, after]

    assert ordered(nodes).keep == {6: [0]}
    assert ordered(nodes, 10816).keep == {}


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Any chain of the operations that the order knows, each reading what came before."""
    nodes = [product("w", fed("x", 64, 64))]
    ops = ["MUL_MAT", "ADD", "MUL", "RMS_NORM", "UNARY:SILU", "ROPE", "VIEW", "RESHAPE", "SCALE", "CONT", "SSM_CONV"]
    for op in draw(st.lists(st.sampled_from(ops), min_size=5, max_size=50)):
        a, b = (nodes[draw(st.integers(0, len(nodes) - 1))] for _ in range(2))
        if op in ("VIEW", "RESHAPE"):
            nodes.append(view(a, op))
        elif op in ("ADD", "MUL", "MUL_MAT", "ROPE"):
            nodes.append(tensor(op, (64, 64), a, b))
        else:
            nodes.append(tensor(op, (64, 64), a))
    return nodes


def test_a_convolution_runs_with_what_follows_since_a_build() -> None:
    """Before it, whatever is ready comes first."""
    x = fed("x", 64, 64)
    first = tensor("SSM_CONV", (64, 64), x, weight("c", 4, 64))
    nodes = [product("a", x), first, tensor("UNARY:SILU", (64, 64), first), product("b", x)]

    assert ordered(nodes, 9849).order == [0, 1, 2, 3]
    assert ordered(nodes, 9010).order == [0, 1, 3, 2]


@given(graphs(), st.sampled_from(BUILDS))
def test_every_node_runs_once_and_after_what_it_reads(nodes: list[Node], build: int) -> None:
    """However they are reordered."""
    plan = ordered(nodes, build)
    place = {node: at for at, node in enumerate(plan.order)}

    assert sorted(plan.order) == list(range(len(nodes)))
    assert all(place[s] < place[i] for i in range(len(nodes)) for s in plan.graph.src[i] if s < len(nodes))
