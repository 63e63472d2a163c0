"""What CUDA's fused kernels keep alive and reorder."""

from __future__ import annotations

from omniplan.llamacpp.build import Fusions
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.splits import Schedule, schedule
from omniplan.llamacpp.graph.node import Node
from tests.unit.llamacpp.ggml.graphs import FUSIONS, GPU0, HOST, given, homes, tensor, view, weight

TOKENS, WIDTH, EXPERTS, USED = 4, 512, 8, 2
ONE_EACH = (Fusions(shared_experts=True), Fusions(reduced_experts=USED), Fusions(routing=True))


def experts(*, kind: str = "q8_0", act: str = "GLU:SWIGLU", act_shared: str = "") -> list[Node]:
    """Routing, routed experts summed by weight, and a shared expert, as most models have them."""
    x = tensor("RMS_NORM", (WIDTH, TOKENS), given("x", WIDTH, TOKENS))
    logits = tensor("MUL_MAT", (EXPERTS, TOKENS), weight("router", WIDTH, EXPERTS), x)
    probs = tensor("SOFT_MAX", (EXPERTS, TOKENS), logits)
    table = view(probs, "RESHAPE", (1, EXPERTS, TOKENS))
    order = tensor("ARGSORT", (EXPERTS, TOKENS), probs, kind="i32")
    top = view(order, shape=(USED, TOKENS))
    top.nb = (4, 4 * EXPERTS, 4 * EXPERTS * TOKENS, 4 * EXPERTS * TOKENS)
    chosen = tensor("GET_ROWS", (1, USED, TOKENS), table, top)
    spread = view(x, "RESHAPE", (WIDTH, 1, TOKENS))
    stacks = [weight(name, WIDTH, WIDTH, EXPERTS, kind=kind) for name in ("gate", "up", "down")]
    gate, up = (tensor("MUL_MAT_ID", (WIDTH, USED, TOKENS), stack, spread, top) for stack in stacks[:2])
    hidden = tensor(act, (WIDTH, USED, TOKENS), gate, up)
    down = tensor("MUL_MAT_ID", (WIDTH, USED, TOKENS), stacks[2], hidden, top)
    weighted = tensor("MUL", (WIDTH, USED, TOKENS), down, chosen)
    parts = [view(weighted, shape=(WIDTH, TOKENS), offset=i * weighted.nb[1]) for i in range(USED)]
    for part in parts:
        part.nb = (4, weighted.nb[2], weighted.nb[3], weighted.nb[3])
    total = tensor("ADD", (WIDTH, TOKENS), *parts)
    shared = [weight("shared_" + name, WIDTH, WIDTH, kind=kind) for name in ("gate", "up")]
    pair = [tensor("MUL_MAT", (WIDTH, TOKENS), matrix, x) for matrix in shared]
    glu = tensor(act_shared or act, (WIDTH, TOKENS), *pair)
    last = tensor("ADD", (WIDTH, TOKENS), total, glu)
    return [
        x, logits, probs, table, order, top, chosen, spread, gate, up, hidden, down, weighted, *parts, total, *pair,
        glu, last,
    ]  # fmt: skip


def on_gpu(nodes: list[Node], fusions: Fusions = FUSIONS) -> Schedule:
    names = {leaf.name: "CUDA0" for node in nodes for leaf in node.src}
    return schedule(Prepared(nodes), homes(names, GPU0, HOST, fusions=fusions))


def test_each_fusion_is_a_fact_of_the_build() -> None:
    """Without any, nodes keep their order and nothing outlives its last use; each one adds its own claims."""
    nodes = experts()
    all_of_them = on_gpu(nodes).keep

    plan = on_gpu(nodes, Fusions())
    alone = [on_gpu(nodes, fusions).keep for fusions in ONE_EACH]

    assert (plan.order, plan.keep) == (list(range(len(nodes))), {})
    assert all(alone)
    assert sum(map(len, alone)) == len(all_of_them)


def ops(plan: Schedule) -> list[str]:
    return [plan.graph.op[i] for i in plan.order]


def test_routing_is_kept_until_the_node_after_it() -> None:
    """Everything the top-k kernel reads and writes outlives the kernel."""
    nodes = experts()

    plan = on_gpu(nodes)

    kept = [plan.graph.tensors[i].op for i in plan.keep[nodes.index(nodes[7])]]
    assert kept == ["SOFT_MAX", "MUL_MAT", "RESHAPE", "ARGSORT", "VIEW", "GET_ROWS"]


def test_experts_and_their_weights_are_kept_until_the_sum() -> None:
    """The weighted sum runs as one kernel that reads the experts' results while it writes."""
    nodes = experts()
    plan = on_gpu(nodes)

    total = next(i for i, node in enumerate(nodes) if node.op == "ADD")
    assert [plan.graph.op[i] for i in plan.keep[total]] == ["MUL_MAT_ID", "GET_ROWS"]


def test_shared_expert_moves_behind_the_routed_gate() -> None:
    """Both pairs run together, so the shared one comes before the routed experts' last product."""
    plan = on_gpu(experts())

    at = ops(plan).index("MUL_MAT_ID")
    assert ops(plan)[at : at + 7] == ["MUL_MAT_ID", "MUL_MAT_ID", "GLU", "MUL_MAT", "MUL_MAT", "GLU", "MUL_MAT_ID"]


def test_float_experts_stay_where_they_are() -> None:
    """The joint kernel exists for quantised weights only."""
    nodes = experts(kind="f32")

    assert on_gpu(nodes).order == list(range(len(nodes)))


def test_unknown_activation_is_not_fused() -> None:
    """Only gated activations with a kernel move."""
    nodes = experts(act="GLU:REGLU")

    assert on_gpu(nodes).order == list(range(len(nodes)))


def test_shared_expert_with_another_activation_stays_where_it_is() -> None:
    """One kernel has one activation; HY V4 limits the routed experts alone."""
    nodes = experts(act="GLU:SWIGLU_CLAMP", act_shared="GLU:SWIGLU")

    assert on_gpu(nodes).order == list(range(len(nodes)))


def test_result_used_elsewhere_stops_the_sum() -> None:
    """A run is fused only when nothing outside reads its inside."""
    nodes = experts()
    weighted = next(node for node in nodes if node.op == "MUL")
    nodes.append(tensor("CONT", weighted.ne, weighted))

    plan = on_gpu(nodes)

    total = next(i for i, node in enumerate(nodes) if node.op == "ADD")
    assert total not in plan.keep
