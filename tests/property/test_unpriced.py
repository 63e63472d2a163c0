"""No command that brings in what is not priced is ever said to fit."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.machine import Machine
from omniplan.domain.params import ServerParams
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags.table import load_flags
from omniplan.llamacpp.load.unpriced import rows
from omniplan.planning.compare import compare
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
    compared = compare(model, machine, [words], n_prompt=128, n_gen=16, env={})

    assert priced.unpriced
    assert {priced.fits, chosen.fits, compared.fits} <= {None, False}
    assert compared.rows[0].prediction is None


@examples(20)
@given(name=names(), machine=machines(), backend=st.sampled_from(["ROCm", "Vulkan", "MTL", "SYCL", "CANN"]))
def test_no_plan_for_another_back_end_fits(name: str, machine: Machine, backend: str) -> None:
    """A plan that uses GPUs which are not priced is not known to fit."""
    raw = machine.to_dict()
    gpus = raw["gpus"]
    assert isinstance(gpus, list)
    for index, gpu in enumerate(gpus):
        gpu["name"] = f"{backend}{index}"
    try:
        plan = omniplan.plan(cases.model(name), Machine.from_dict(raw), n_ctx=4096, baselines=False)
    except omniplan.Infeasible:
        return

    # A plan that leaves every GPU alone is the CPU's business.
    assert plan.footprint.fits is None or " ".join(plan.server_args).count("-dev none") == 1


def test_kinds_are_asked_for_by_flags_that_exist() -> None:
    """Flags and fields that are looked for are those of the table of flags, or follow from them."""
    known = {row.name for row in load_flags()}
    derived = {name for name, item in vars(ServerParams).items() if isinstance(item, property)}
    fields = {row.param for row in load_flags()} | derived

    assert {name for row in rows().values() for name in row.flags} - known == set()
    assert {row.param for row in rows().values() if row.param} - fields == set()
