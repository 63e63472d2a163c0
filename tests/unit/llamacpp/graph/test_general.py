"""An architecture nobody has described: figures by the general rule, said so, and whether it fits is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from tests.headers import write_gguf
from tests.oracle import cases

LAYERS = 4
MATRICES = {
    "attn_q": (1024, 1024),
    "attn_k": (1024, 256),
    "attn_v": (1024, 256),
    "attn_output": (1024, 1024),
    "ffn_up": (1024, 4096),
    "ffn_gate": (1024, 4096),
    "ffn_down": (4096, 1024),
}


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A small decoder under a name that llama.cpp b11434 does not know."""
    metadata: dict[str, int | str] = {
        "general.architecture": "newcomer",
        "newcomer.block_count": LAYERS,
        "newcomer.embedding_length": 1024,
        "newcomer.context_length": 8192,
        "newcomer.feed_forward_length": 4096,
        "newcomer.attention.head_count": 16,
        "newcomer.attention.head_count_kv": 4,
    }
    tensors: list[tuple[str, str, tuple[int, ...]]] = [
        ("token_embd.weight", "q4_K", (1024, 32000)),
        ("output_norm.weight", "f32", (1024,)),
    ]
    for il in range(LAYERS):
        tensors += [(f"blk.{il}.{name}.weight", "f32", (1024,)) for name in ("attn_norm", "ffn_norm")]
        tensors += [(f"blk.{il}.{name}.weight", "q4_K", shape) for name, shape in MATRICES.items()]
    path = tmp_path / "newcomer.gguf"
    write_gguf(path, metadata, tensors)
    return path


def test_is_priced_with_assumptions(newcomer: Path) -> None:
    """Weights and cache are exact all the same; the graph is assumed to be llama's, and both say so."""
    priced = omniplan.footprint(newcomer, omniplan.load_machine("single-3090"), ["-ngl", "99", "-c", "4096"])

    cache = 2 * 2 * 256 * 4096 * LAYERS
    assert cache == priced.buffers["CUDA0"].context
    assert ["architecture newcomer", "graph of newcomer"] == [item.subject for item in priced.assumptions]
    assert (None, ["general.architecture"]) == (priced.fits, [item.subject for item in priced.unpriced])


def test_a_build_refuses_what_it_does_not_know() -> None:
    """Architectures that came later are priced for builds that have them alone."""
    model = cases.model("kolibri1")
    machine, args = omniplan.load_machine("single-3090"), ["-ngl", "99", "-c", "4096"]

    assert omniplan.footprint(model, machine, args, build=11739).fits
    with pytest.raises(omniplan.UnsupportedModel, match="b11549 does not know the architecture kolibri1, b11739 does"):
        omniplan.footprint(model, machine, args, build=11549)


def test_a_type_that_came_later_is_not_known(tmp_path: Path) -> None:
    """Its header is read and its bytes are counted; known builds refuse it, and no newer one's kernels are known."""
    model = cases.model("kolibri1")
    rows = [(t.name, "f8_e4m3" if "exps" in t.name else t.type.name, t.shape) for t in model.header.tensors]
    keys = {key: [*value] if isinstance(value, tuple) else value for key, value in model.header.metadata.items()}
    later = omniplan.load_model(write_gguf(tmp_path / "f8.gguf", keys, rows))  # type: ignore[arg-type]
    machine, args = omniplan.load_machine("single-3090"), ["-ngl", "99", "-c", "4096"]

    priced = omniplan.footprint(later, machine, args, build=12211)

    assert (None, "tensor types") == (priced.fits, priced.unpriced[-1].subject)
    assert later.header.tensor_bytes < model.header.tensor_bytes
    with pytest.raises(omniplan.ArgumentError, match="b11739 does not know the tensor type f8_e4m3"):
        omniplan.footprint(later, machine, args, build=11739)


def test_a_plan_says_what_it_assumed(newcomer: Path) -> None:
    """The assumption about the graph reaches the plan."""
    plan = omniplan.plan(newcomer, omniplan.load_machine("single-3090"), n_ctx=4096)

    assert "graph of newcomer" in [item.subject for item in plan.assumptions]


def test_a_plan_keeps_more_room(newcomer: Path) -> None:
    """A quarter of the compute buffer on top of the policy, since the graph is not checked."""
    machine = omniplan.load_machine("single-3090")
    gpu = machine.gpu("CUDA0")

    plan = omniplan.plan(newcomer, machine, n_ctx=4096)

    margin = next(item for item in plan.margins if item.pool == "CUDA0")
    extra = plan.footprint.buffers["CUDA0"].compute // 4
    assert omniplan.Headroom().growth_of(gpu) + extra == margin.growth


def test_an_encoder_without_its_tensors_is_refused(tmp_path: Path) -> None:
    """There is no honest price, and the error names the first that is missing."""
    path = tmp_path / "bert.gguf"
    metadata: dict[str, int | str] = {
        "general.architecture": "bert",
        "bert.block_count": 1,
        "bert.embedding_length": 256,
        "bert.context_length": 512,
        "bert.attention.head_count": 4,
    }
    write_gguf(path, metadata, [("token_embd.weight", "f32", (256, 100)), ("blk.0.attn_q.weight", "f32", (256, 256))])

    with pytest.raises(omniplan.UnsupportedModel, match=r"position_embd\.weight is missing"):
        omniplan.footprint(path, omniplan.load_machine("single-3090"), ["-ngl", "99", "-c", "512"])
