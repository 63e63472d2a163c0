"""``-sm tensor``: what every device holds of a model's weights and caches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.footprint import ContextKind
from omniplan.domain.params import SplitMode
from omniplan.errors import ArgumentError, InputError
from omniplan.llamacpp.load.division import Division, row
from omniplan.llamacpp.load.weights import slots
from omniplan.units import MIB
from tests.oracle import cases

DATA: Final = Path(__file__).parents[3] / "data" / "models"
ARCHS: Final = sorted((DATA / "archs").glob("*.gguf"))
DENSE: Final = DATA / "archs" / "llama-dense.gguf"
TIED: Final = DATA / "small" / "gemma4.gguf"


def machine(n: int, *, free_mib: int = 24000) -> omniplan.Machine:
    """So many GPUs, the first of which has ``free_mib`` free."""
    sizes = [free_mib, *[24000] * (n - 1)]
    gpus = [
        {"name": f"CUDA{i}", "total_mib": 24000, "free_mib": free, "compute_capability": "8.6"}
        for i, free in enumerate(sizes)
    ]
    return omniplan.Machine.from_dict({"name": "several", "gpus": gpus})


def weights(path: Path, n: int, *args: str) -> list[int]:
    """Bytes of weights on each of ``n`` GPUs."""
    priced = omniplan.footprint(path, machine(n), ["-sm", "tensor", "-c", "256", *args])
    return [priced.buffers[f"CUDA{i}"].model for i in range(n)]


@given(
    path=st.sampled_from(ARCHS),
    shares=st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0, 7.0]), min_size=1, max_size=4),
)
def test_slices_are_the_whole_tensor_once_or_every_time(path: Path, shares: list[float]) -> None:
    """Whatever -ts says, a cut tensor is on the devices once in all, and any other on each of them."""
    model = omniplan.load_model(path)
    division = Division(model, tuple(shares))
    for slot in slots(model):
        tensor = slot.tensor
        try:
            pieces = division.weight(tensor)
        except ArgumentError as error:
            assert "llama.cpp aborts" in str(error)  # noqa: PT017 - which tensors these are is not drawn
            continue
        total = sum(piece.nbytes for piece in pieces)
        assert len(pieces) == len(shares)
        assert total == tensor.nbytes or all(piece.nbytes == tensor.nbytes for piece in pieces)
        assert all(piece.ne0 % tensor.type.block == 0 for piece in pieces)


def test_the_split_is_even_whatever_is_free() -> None:
    """-sm layer follows free memory, -sm tensor only -ts."""
    args = ["-sm", "tensor", "-c", "256"]
    small, large = (omniplan.footprint(DENSE, machine(2, free_mib=free), args) for free in (4000, 24000))

    assert small.buffers == large.buffers
    assert small.buffers["CUDA0"] == small.buffers["CUDA1"]


def test_every_device_reserves_the_whole_compute_buffer() -> None:
    """It does not shrink with more devices."""
    found = [omniplan.footprint(DENSE, machine(n), ["-sm", "tensor", "-c", "256"]) for n in (1, 2, 3)]

    assert len({priced.buffers[f"CUDA{n}"].compute for n, priced in enumerate(found)}) == 1
    assert found[0].buffers["CUDA0"].context == sum(found[2].buffers[f"CUDA{i}"].context for i in range(3))
    assert found[2].layers == ("Meta()",) * 3
    assert found[2].sched_copies == 1


def test_one_device_alone_holds_what_it_would_without() -> None:
    """Weights and caches of -sm none."""
    alone, divided = (
        omniplan.footprint(DENSE, machine(1), ["-sm", mode, "-c", "256"]).buffers["CUDA0"]
        for mode in ("none", "tensor")
    )

    assert (alone.model, alone.context) == (divided.model, divided.context)


def test_a_tied_output_head_is_whole_on_every_device() -> None:
    """It is called token_embd.weight, which is not cut; an output head of its own is."""
    assert row("token_embd.weight", "gemma4").axis is None
    assert row("output.weight", "gemma4").axis == 1
    model = omniplan.load_model(TIED)
    embedding = model.header.by_name["token_embd.weight"]

    assert [piece.nbytes for piece in Division(model, (0.0, 0.0)).weight(embedding)] == [embedding.nbytes] * 2


@pytest.mark.parametrize(("share", "width"), [(0.3, 0), (0.34, 128), (0.66, 128), (0.67, 256), (0.99, 256), (1.0, 384)])
def test_a_narrow_feed_forward_makes_shares_jump(share: float, width: int) -> None:
    """It is cut at multiples of 128: of 384 columns a device gets none, one, two or three of these."""
    model = omniplan.load_model(DENSE)
    down = model.header.by_name["blk.0.ffn_down.weight"]
    first, second = Division(model, (share, 1 - share)).weight(down)

    assert (down.shape[0], first.ne0, second.ne0) == (384, width, 384 - width)


@pytest.mark.parametrize(("n", "problem"), [(2, None), (3, "reads the cache of layer 0, which is cut otherwise")])
def test_layers_that_read_another_cache_need_the_same_cut(n: int, problem: str | None) -> None:
    """Gemma 4 with two heads: over three devices the layers' heads lie elsewhere, and llama.cpp aborts."""
    if problem is None:
        assert len(weights(TIED, n)) == n
        return
    with pytest.raises(ArgumentError, match=f"--split-mode: llama.cpp aborts, layer 2 {problem}"):
        weights(TIED, n)


def test_an_override_cannot_name_one_of_the_devices() -> None:
    """The only device is the one that llama.cpp makes of them; RAM can be named."""
    with pytest.raises(ArgumentError, match=r"--override-tensor: 'ffn=CUDA0' puts .* on a device that is not in use"):
        weights(DENSE, 2, "-ot", "ffn=CUDA0")
    assert sum(weights(DENSE, 2, "-ot", "ffn=CPU")) < sum(weights(DENSE, 2))


@pytest.mark.parametrize("kind", ["q8_0", "q4_0"])
def test_a_quantised_cache_is_taken(kind: str) -> None:
    """b11434 divides it as any other: whole heads are whole blocks."""
    f16, small = (
        omniplan.footprint(DENSE, machine(2), ["-sm", "tensor", "-c", "256", "-ctk", k, "-ctv", k]).buffers["CUDA1"]
        for k in ("f16", kind)
    )

    assert small.context < f16.context


def test_nothing_asks_for_work_whose_weights_are_in_ram() -> None:
    """The device has no offload_op, so that experts in RAM are computed there and never copied."""
    moe = DATA / "archs" / "llama-moe.gguf"
    plain, off = (
        omniplan.footprint(moe, machine(2), ["-sm", "tensor", "-c", "256", "-cmoe", *extra])
        for extra in ([], ["--no-op-offload"])
    )

    assert plain.buffers == off.buffers
    assert plain.graph_splits == off.graph_splits


@pytest.mark.parametrize("extra", [(), ("-c", "4096"), ("-kvu",), ("-c", "4096", "-kvu")], ids=" ".join)
def test_slots_share_or_divide_the_context(extra: tuple[str, ...]) -> None:
    """As where --fit is off: without -c it is what the model was trained for, which --fit would widen for the slots."""
    args = ["-np", "4", "--fit", "off", *extra]
    layer, tensor = (omniplan.footprint(DENSE, machine(2), ["-sm", mode, *args]) for mode in ("layer", "tensor"))
    fitted = omniplan.footprint(DENSE, machine(2), ["-sm", "tensor", "-np", "4", *extra])

    assert (tensor.n_ctx, tensor.n_ctx_seq) == (layer.n_ctx, layer.n_ctx_seq)
    assert fitted.buffers == tensor.buffers
    held = [sum(priced.buffers[f"CUDA{i}"].context for i in range(2)) for priced in (layer, tensor)]
    assert held[0] == held[1]


@pytest.mark.parametrize(
    ("model", "args", "mib"),
    [
        ("Qwen3.6-27B-MTP-Q4_K_M", ("-np", "1", "-kvu"), 1024 + 74.81),
        ("Qwen3.6-27B-MTP-Q4_K_M", ("-np", "2", "-kvu"), 1024 + 149.62),
        ("Qwen3.6-27B-MTP-Q4_K_M", ("-np", "2", "-kvu", "--spec-type", "draft-mtp"), 1024 + 598.50),
        ("Qwen3.5-35B-A3B-Q6_K", ("-np", "1", "-kvu", "-ncmoe", "40"), 320 + 31.41),
        ("Qwen3.5-35B-A3B-Q6_K", ("-np", "4", "-kvu", "-ncmoe", "40"), 320 + 125.62),
    ],
)
def test_caches_of_real_loads(model: str, args: tuple[str, ...], mib: float) -> None:
    """What two RTX 3090 printed for KV and recurrent states of 32,768 tokens (avafloww/ananke, July 2026)."""
    priced = omniplan.footprint(cases.model(model), machine(2), ["-sm", "tensor", "-c", "32768", "-ngl", "99", *args])
    main = priced.contexts[ContextKind.MAIN]

    assert [main[gpu].context / MIB for gpu in ("CUDA0", "CUDA1")] == pytest.approx([mib, mib], abs=0.01)


def test_speed_is_not_known() -> None:
    """Not that of -sm layer; what has been measured is said."""
    with pytest.raises(InputError, match=r"--split-mode tensor: how fast it runs is not known; measured: .*RTX 4090"):
        omniplan.predict(DENSE, machine(2), ["-sm", "tensor"])
    rows = omniplan.compare(DENSE, machine(2), [["-sm", "tensor"], ["-sm", "layer"]]).rows

    assert [(row.fits, row.prediction is None) for row in rows] == [(True, True), (True, False)]


def test_fit_leaves_it_alone() -> None:
    """common_params_fit_impl throws before it measures anything."""
    found = omniplan.fit(DENSE, machine(2), ["-sm", SplitMode.TENSOR])

    assert (found.changed, found.probes, found.failure) == (False, 0, "--fit is not implemented for -sm tensor")
