"""No command that brings in what is not priced is ever said to fit."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.params import ServerParams
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags.table import load_flags
from omniplan.llamacpp.ggml import table
from omniplan.llamacpp.ggml.registry import BACKENDS, backend_name
from omniplan.llamacpp.load.unpriced import rows
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, placements

# Every flag that loads something beside the model, changes how it is divided, or what a batch returns.
FLAGS = st.sampled_from(
    [
        ("--mmproj", "p.gguf"),
        ("-mmu", "https://example.org/p.gguf"),
        ("-md", "d.gguf"),
        ("--spec-draft-hf", "someone/draft"),
        ("--lora", "a.gguf"),
        ("--lora-scaled", "a.gguf:0.5"),
        ("-bs",),
        ("--rpc", "10.0.0.2:50052"),
        ("--moe-cache-mib", "1024"),
    ]
)
LAYOUTS = machines().flatmap(lambda machine: st.tuples(st.just(machine), placements(machine)))
MIXED = st.lists(FLAGS, min_size=1, max_size=3)


@examples(40)
@given(name=names(), layout=LAYOUTS, flags=MIXED, n_ctx=st.sampled_from([512, 8192, 131072]))
def test_nothing_unpriced_fits(
    name: str, layout: tuple[Machine, tuple[str, ...]], flags: Sequence[tuple[str, ...]], n_ctx: int
) -> None:
    """Whatever the layout, it is short, or it is not known; and every flag is accounted for."""
    (machine, args), model = layout, cases.model(name)
    words = [*args, "-c", str(n_ctx), *(word for flag in flags for word in flag)]
    try:
        priced = omniplan.footprint(model, machine, words)
        chosen = omniplan.fit(model, machine, words)
    except ArgumentError:
        return
    compared = omniplan.compare(model, machine, [words], n_prompt=128, n_gen=16)

    assert priced.unpriced
    assert {priced.fits, chosen.fits, compared.fits} <= {None, False}
    assert compared.rows[0].prediction is None


# What devices are called: of back ends with a row and no price, and of such as have no row at all.
OTHERS = st.sampled_from([row.device for name, row in table.rows().items() if name not in BACKENDS] or ["CANN"])
UNHEARD = st.from_regex("[A-Za-z]{2,8}", fullmatch=True).filter(lambda word: backend_name(device(word)) not in BACKENDS)


def device(word: str) -> Gpu:
    """A GPU of a back end that is called so."""
    return Gpu(name=f"{word}0", total=1, free=1)


@examples(20)
@given(name=names(), machine=machines(), word=OTHERS | UNHEARD)
def test_no_plan_for_a_back_end_without_a_price_fits(name: str, machine: Machine, word: str) -> None:
    """Whatever its devices are called, and whether or not its facts are known: a plan that uses them is not known."""
    raw = machine.to_dict()
    gpus = raw["gpus"]
    assert isinstance(gpus, list)
    for index, gpu in enumerate(gpus):
        gpu["name"] = f"{word}{index}"
    try:
        plan = omniplan.plan(cases.model(name), Machine.from_dict(raw), n_ctx=4096, baselines=False)
    except omniplan.Infeasible:
        return

    # A plan that leaves every GPU alone is the CPU's business.
    assert plan.footprint.fits is None or " ".join(plan.server_args).count("-dev none") == 1


def test_every_back_end_with_a_price_has_its_facts_in_the_table() -> None:
    """And its devices are found by their name."""
    found = {backend_name(device(row.device)) for row in table.rows().values()}

    assert set(BACKENDS) <= found == set(table.rows())


def test_kinds_are_asked_for_by_flags_that_exist() -> None:
    """Flags and fields that are looked for are those of the table of flags, or follow from them."""
    known = {row.name for row in load_flags()}
    derived = {name for name, item in vars(ServerParams).items() if isinstance(item, property)}
    fields = {row.param for row in load_flags()} | derived

    assert {name for row in rows().values() for name in row.flags} - known == set()
    assert {row.param for row in rows().values() if row.param} - fields == set()
