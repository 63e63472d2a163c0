"""What holds for the price of any placement: bytes are conserved, and more of anything never costs less."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.footprint import sum_of
from omniplan.domain.header import Tensor
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load.place import place
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, placements

LAYOUTS = machines().flatmap(lambda machine: st.tuples(st.just(machine), placements(machine)))
FLASH = st.sampled_from(["on", "off"])
HOST = {"CPU": 32, "CUDA_Host": 64}
TIED = "token_embd.weight"
CUDA_ALIGNMENT = 128
CUDA_ROW = 512


def padding(buffer: str, tensor: Tensor) -> int:
    """Bytes beyond the tensor's own: the last quantised row is padded to 512 elements on CUDA; then comes alignment."""
    ne0, size = tensor.shape[0], tensor.nbytes
    if buffer not in HOST and tensor.type.is_quantized:
        size += tensor.type.row_size(-ne0 % CUDA_ROW)
    alignment = HOST.get(buffer, CUDA_ALIGNMENT)
    return -(-size // alignment) * alignment - tensor.nbytes


def price(model: Model, machine: Machine, layout: tuple[str, ...], **counts: int | str) -> omniplan.Footprint:
    """Footprint of a layout with ``-c``, ``-np`` and so on given by name."""
    given_ = [word for name, value in counts.items() for word in (f"-{name}", str(value))]
    return omniplan.footprint(model, machine, [*given_, *layout])


def totals(priced: omniplan.Footprint) -> dict[str, int]:
    """All bytes of each GPU."""
    return {name: size.total for name, size in priced.buffers.items() if name not in HOST}


def contexts(priced: omniplan.Footprint) -> int:
    """KV caches and recurrent states over all buffers."""
    return sum(size.context for size in priced.buffers.values())


@examples(25)
@given(name=names(), layout=LAYOUTS)
def test_weights_are_conserved(name: str, layout: tuple[Machine, tuple[str, ...]]) -> None:
    """Every tensor lies somewhere, only the tied embedding and rotary factors twice; the sum is theirs plus padding."""
    (machine, args), model = layout, cases.model(name)
    weights = place(model, machine, parse(["-c", "4096", *args])).weights

    file = model.header.by_name
    factors = [tensor for tensor in file if tensor.startswith("rope_freqs")]
    held = {(buffer, tensor if tensor in file else TIED) for tensor, buffer in weights.buffer_of.items()}
    held |= {(buffer, tensor) for buffer in weights.factors.values() for tensor in factors}
    copies = Counter(tensor for _, tensor in held)
    once = sum(tensor.nbytes for tensor in file.values())
    again = sum(file[tensor].nbytes * (count - 1) for tensor, count in copies.items())
    padded = sum(padding(buffer, file[tensor]) for buffer, tensor in held)
    assert set(file) == set(copies)
    assert {tensor for tensor, count in copies.items() if count > 1} <= {TIED, *factors}
    assert once + again + padded == sum(weights.nbytes.values())


@examples(25)
@given(name=names(), layout=LAYOUTS)
def test_footprint_adds_up(name: str, layout: tuple[Machine, tuple[str, ...]]) -> None:
    """Pools hold what buffers hold, these what contexts hold; caches, all of whole cells, take the same anywhere."""
    (machine, args), model = layout, cases.model(name)
    priced = price(model, machine, args, c=4096, np=1)
    elsewhere = price(model, machine, ("-ngl", "0"), c=4096, np=1)

    used = {pool.name: pool.used for pool in priced.pools}
    host = sum(size.total for name, size in priced.buffers.items() if name in HOST)
    assert {**dict.fromkeys((gpu.name for gpu in machine.gpus), 0), **totals(priced), "RAM": host} == used
    assert contexts(priced) == contexts(elsewhere)
    assert sum_of(priced.contexts.values()) == priced.buffers


@examples(10)
@given(name=names(), layout=LAYOUTS, n_ctx=st.sampled_from([4096, 16384, 40960]), fa=FLASH)
def test_more_context(name: str, layout: tuple[Machine, tuple[str, ...]], n_ctx: int, fa: str) -> None:
    """Twice the context takes more cache, and no device takes less in total."""
    (machine, args), model = layout, cases.model(name)
    less, more = (price(model, machine, args, c=c, np=1, fa=fa) for c in (n_ctx, 2 * n_ctx))

    assert contexts(less) < contexts(more)
    assert all(size <= totals(more)[gpu] for gpu, size in totals(less).items())


@examples(10)
@given(name=names(), layout=LAYOUTS, slots=st.tuples(st.integers(1, 3), st.integers(4, 8)), fa=FLASH)
def test_more_slots(name: str, layout: tuple[Machine, tuple[str, ...]], slots: tuple[int, int], fa: str) -> None:
    """More slots of the same size take more cache, and no device takes less in total."""
    (machine, args), model = layout, cases.model(name)
    less, more = (price(model, machine, args, c=4096 * np, np=np, fa=fa) for np in slots)

    assert contexts(less) < contexts(more)
    assert all(size <= totals(more)[gpu] for gpu, size in totals(less).items())


@examples(10)
@given(name=names(), layout=LAYOUTS, n_ubatch=st.sampled_from([32, 128, 512]), fa=FLASH)
def test_larger_micro_batch(name: str, layout: tuple[Machine, tuple[str, ...]], n_ubatch: int, fa: str) -> None:
    """A larger micro-batch never takes less on any device, nor smaller caches; sliding windows grow by it."""
    (machine, args), model = layout, cases.model(name)
    less, more = (price(model, machine, args, c=16384, np=1, fa=fa, ub=ub) for ub in (n_ubatch, 2 * n_ubatch))

    assert contexts(less) <= contexts(more)
    assert all(size <= totals(more)[gpu] for gpu, size in totals(less).items())


def test_a_divided_context_takes_less() -> None:
    """Where llama.cpp is not monotone: more slots of one context of a given size have narrower attention masks."""
    model, machine = cases.model("Qwen3-0.6B-Q8_0"), cases.machines()["single-3090"]
    one, two = (price(model, machine, ("-ngl", "99"), c=16384, np=np, fa="on").buffers["CUDA0"] for np in (1, 2))

    assert one.context == two.context
    assert (one.compute, two.compute) == (44_054_656, 35_666_048)


def test_best_fit_is_not_monotone() -> None:
    """Where llama.cpp is not monotone: best fit may find a better packing for 256 tokens more."""
    model, machine = cases.model("Llama-3.1-8B-Q4_K_M"), cases.machines()["single-3090"]
    less, more = (price(model, machine, ("-ngl", "10"), c=c, np=1, fa="on").buffers["CUDA0"] for c in (4096, 4352))

    assert less.context < more.context
    assert (less.compute, more.compute) == (146_280_448, 133_697_536)


def test_offload_starts_with_32_tokens() -> None:
    """Where llama.cpp is not monotone: from 32 tokens on a GPU does the CPU's products, so RAM needs less."""
    model, machine = cases.model("GLM-4.7-Flash-Q8_0"), cases.machines()["dual-4090-5070ti"]
    below, above = (price(model, machine, ("-ngl", "10"), c=4096, np=1, fa="on", ub=ub) for ub in (31, 32))

    assert below.buffers["CUDA_Host"].compute > above.buffers["CUDA_Host"].compute
    assert below.buffers["CUDA0"].compute < above.buffers["CUDA0"].compute
