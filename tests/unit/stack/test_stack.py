"""Stacks of real models: the two and the four of the Protocol OMNI diary, sets that co-fit, and what a file may ask."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import pytest

import omniplan
from omniplan.domain.footprint import Footprint
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine
from omniplan.domain.process import ProcessPart
from omniplan.errors import ArgumentError, InputError
from omniplan.stack.asked import Budget, External, Group, On, StackFile, StackModel
from omniplan.stack.planner import make_stack
from omniplan.stack.text import stack_screen
from omniplan.stack.values import Stack
from omniplan.units import GIB, MIB
from tests import stacks
from tests.oracle import cases
from tests.screens import everything

ORACLE = "DeepSeek-R1-Q4_K_M"
CODER = "Qwen2.5-Coder-7B-Q4_K_M"
FIVE = (
    "Qwen3-8B-Q4_K_M",
    "Llama-3.1-8B-Q4_K_M",
    "gemma-2-9b-Q4_K_M",
    "Qwen3-0.6B-Q8_0",
    "Qwen2.5-Coder-7B-Q8_0",
)


def model(name: str, **asked: object) -> StackModel:
    return replace(StackModel(name=name, path=name, n_ctx=8192), **asked)  # type: ignore[arg-type]


def plan(machine: Machine, *models: StackModel, **asked: object) -> Stack:
    """A stack of oracle headers."""
    asked.setdefault("groups", (Group(name="all", members=tuple(item.name for item in models)),))
    file = replace(StackFile(name="test", models=models), **asked)  # type: ignore[arg-type]
    return make_stack(file, {item.name: cases.model(item.path) for item in models}, machine)


@cache
def machine(name: str) -> Machine:
    return omniplan.load_machine(name)


@cache
def pair() -> Stack:
    """The diary's two models."""
    coder = model("coder", path=CODER, n_ctx=16384)
    return plan(machine("omni-nps1"), model("oracle", path=ORACLE, priority=2.0), coder)


def little(gpu_mib: int, ram_mib: int, n_gpus: int = 1) -> Machine:
    """A machine of small GPUs for small models."""
    row = {"description": "little", "total_mib": gpu_mib + 100, "free_mib": gpu_mib, "bandwidth_gbs": 900}
    return Machine.from_dict(
        {
            "name": "little",
            "gpus": [{"name": f"CUDA{index}", **row} for index in range(n_gpus)],
            "memory": {"total_mib": ram_mib, "bandwidth_gbs": 50, "bandwidth_basis": "measured"},
            "cpu": {"n_cores": 8, "n_threads": 16},
        }
    )


def small(known: Machine, sizes: Mapping[str, int], *groups: str, **asked: On) -> Stack:
    """A stack of small models by their layers of about 350 MB; ``groups`` are of one-letter names."""
    file = StackFile(
        name="small",
        models=tuple(model(name, path=name, n_ctx=2048, on=asked.get(name, On.ANY)) for name in sizes),
        groups=tuple(Group(name=members, members=tuple(members)) for members in groups or ("".join(sizes),)),
    )
    return make_stack(file, {name: stacks.small(n_layer, 24000) for name, n_layer in sizes.items()}, known)


@cache
def price(path: str, known: Machine, args: tuple[str, ...]) -> Footprint:
    """A member's price, made anew."""
    return omniplan.footprint(cases.model(path), known, args)


def together(stack: Stack, names: Sequence[str]) -> bool:
    """Whether members keep the policy at once, by its definition and by prices made anew."""
    policy, known = Headroom(), stack.machine
    paths = {item.name: item.path for item in stack.asked.models}
    lines = {name: stack.member(name).plan.server_args for name in names}
    priced = [price(paths[name], known, line) for name, line in lines.items()]
    for gpu in known.gpus:
        using = [each for each in priced if gpu.name in each.buffers]
        used = [each.buffers[gpu.name].total for each in using]
        already = sum(item.size for item in gpu.reserved if item.kind == "cuda_context")
        contexts = max(0, sum(each.process[gpu.name].total for each in using) - already)
        if used and sum(used) + contexts + policy.growth_of(gpu) + 256 * MIB * (len(used) - 1) > gpu.free:
            return False
    assert known.memory is not None
    host = sum(each.pools[-1].used + each.output_buffer for each in priced)
    return host + sum(map(_cache, lines.values())) + policy.ram <= known.memory.available


def _cache(args: Sequence[str]) -> int:
    return int(args[args.index("-cram") + 1]) * MIB if "-cram" in args else 8 * GIB


def test_the_two_models_of_the_diary() -> None:
    """R1 on both GPUs and in RAM beside a coder of 7B on the RTX 5090: every budget is kept, and the table adds up."""
    stack = pair()
    oracle, coder = stack.members
    (group,) = stack.groups

    assert stack.fits
    assert together(stack, ["oracle", "coder"])
    assert stack.sets == (("oracle", "coder"),)
    assert [share.pool for share in oracle.shares] == ["CUDA0", "CUDA1", "RAM"]
    assert coder.gpus == ("CUDA1",)
    for pool in group.pools:
        assert pool.used == sum(s.total for m in stack.members for s in m.shares if s.pool == pool.pool)
        assert pool.left >= 0
    for speed, member in zip(group.speeds, stack.members, strict=True):
        assert speed.busy < speed.idle == pytest.approx(member.plan.prediction.decode_tokens_per_second.value)


def used_by_others(beside: int | None) -> Stack:
    """Two Llama-3.1-8B at 32k, on the GPU alone, on a card of 24 GB on which runs showed ``beside`` bytes in use."""
    known = machine("single-3090")
    known = replace(known, gpus=(replace(known.gpus[0], beside=beside, learned="runs"),))
    path = "Llama-3.1-8B-Q4_K_M"
    return plan(known, *(model(name, path=path, n_ctx=32768, on=On.GPU) for name in "ab"))


def test_what_others_use_of_a_gpu_is_not_there_for_a_stack() -> None:
    """Two that need 18.9 GB fit on a free card of 24 GB, and not on one of which others use 12 GiB; it is counted once.

    The stack then lacks just as much as is in use beyond what the machine file has reserved.
    """
    free, shared = used_by_others(None), used_by_others(12 * GIB)
    gpu = machine("single-3090").gpus[0]
    (group,) = shared.groups
    (pool,) = (pool for pool in group.pools if pool.pool == "CUDA0")
    (before,) = (pool for pool in free.groups[0].pools if pool.pool == "CUDA0")

    assert free.fits
    assert not shared.fits
    assert before.capacity - pool.capacity == 12 * GIB - (gpu.total - gpu.free) - Headroom().context_of(gpu)
    (process,) = {member.plan.footprint.process["CUDA0"] for member in free.members}
    assert before.used == 2 * (9_067_567_488 + process.total + 256 * MIB)
    # What runs show takes the place of the first context; the second is one of a card that nobody has measured.
    tables = process.parts[ProcessPart.PAGE_TABLES]
    assert group.shortfall == 2 * (9_067_567_488 + 756 * MIB + tables) - pool.capacity


def test_a_stack_says_what_runs_taught() -> None:
    """A member's plan names what is in use beside models on its GPU, as a plan alone does."""
    for member in used_by_others(900 * MIB).members:
        (learned,) = (reason for reason in member.plan.reasons if reason.subject == "learned on CUDA0")
        assert learned.statement.startswith("900 MiB in use beside a model")


def test_neighbours_on_one_bus_slow_each_other() -> None:
    """Two that read their weights from RAM take turns; one on a GPU and one in RAM do not feel each other."""
    both = small(little(8000, 32768), {"a": 8, "b": 8}, a=On.CPU, b=On.CPU)
    apart = small(little(8000, 32768), {"a": 8, "b": 8}, a=On.CPU)

    for speed in both.groups[0].speeds:
        assert 0.45 < speed.busy / speed.idle < 0.55
    for speed in apart.groups[0].speeds:
        assert speed.busy / speed.idle > 0.95


def test_weights_in_ram_beside_free_vram_have_a_reason() -> None:
    """A model of 0.6 B stays off a GPU that has 16 GB left, since a more important one would wait for it there."""
    large = model("large", path="gpt-oss-120b-MXFP4_MOE", n_ctx=32768, priority=3.0)
    found = plan(machine("h100"), large, model("tiny", path="Qwen3-0.6B-Q8_0"))
    said = [reason.statement for reason in found.reasons if reason.subject == "tiny on the CPU"]

    assert "CPU" in found.member("tiny").plan.strategy
    assert len(said) == 1
    assert "CUDA0 has room for all of it" in said[0]
    assert "its neighbours would wait" in everything(stack_screen(found))


def test_members_on_the_cpu_share_its_cores() -> None:
    """No more threads than physical cores where several compute on the CPU; no GPU is in their sight."""
    stack = small(little(8000, 32768), {"a": 8, "b": 8}, a=On.CPU, b=On.CPU)

    for member in stack.members:
        args = member.plan.server_args
        assert (args[args.index("-t") + 1], args[args.index("-tb") + 1]) == ("4", "4")
        assert member.plan.environment == {"CUDA_VISIBLE_DEVICES": ""}
        spoken = omniplan.predict(stacks.small(8, 24000), stack.machine, args)
        assert spoken.request_seconds == member.plan.prediction.request_seconds


def test_four_models_are_refused_with_their_sum() -> None:
    """F-005: 117 + 20 + 30 GB and a model behind an API are 167 GB against GPUs of 128 GB; ways out are ranked."""
    entries = (
        External(name="oracle", size=117 * 10**9),
        External(name="executor", size=20 * 10**9, may_use_ram=True),
        External(name="failsafe", size=30 * 10**9, may_use_ram=True),
        External(name="tools", size=0),
    )
    groups = (Group(name="all", members=tuple(entry.name for entry in entries)),)
    stack = plan(machine("omni-nps1"), externals=entries, groups=groups)
    (group,) = stack.groups
    losses = [remedy.loss for remedy in group.remedies]

    assert not stack.fits
    assert sum(group.needed.values()) == 167 * 10**9
    assert 128 * 10**9 < group.available < 135 * 10**9
    assert sum(group.needed.values()) - group.available == group.shortfall
    assert losses == sorted(losses)
    assert ("executor to the CPU", "failsafe to the CPU") in [remedy.changes for remedy in group.remedies]
    assert all("tools" not in change for remedy in group.remedies for change in remedy.changes)


@cache
def five() -> Stack:
    """Five models on demand on the desktop."""
    models = [model(name, path=name, on_demand=True) for name in FIVE]
    return plan(machine("dual-4090-5070ti"), *models, groups=())


def test_the_sets_are_exactly_those_that_co_fit() -> None:
    """Of all 31 sets of five models, by brute force over prices made anew."""
    stack = five()
    every = [names for n in range(1, 6) for names in itertools.combinations(FIVE, n)]
    parts = {part for names in stack.sets for n in range(1, 6) for part in itertools.combinations(names, n)}

    assert {names for names in every if together(stack, names)} == parts
    assert set(FIVE) == {name for names in stack.sets for name in names}
    assert len(stack.sets) > 1


def test_a_group_spreads_what_one_gpu_does_not_hold() -> None:
    """Two models that must be resident together do not both go where each would alone; two that need not do."""
    known = little(8000, 32768, n_gpus=2)
    both, single = small(known, {"a": 14, "b": 14}), small(known, {"a": 14, "b": 14}, "a", "b")

    assert both.fits
    assert sorted(member.gpus for member in both.members) == [("CUDA0",), ("CUDA1",)]
    assert both.sets == (("a", "b"),)
    assert single.seconds <= both.seconds


def test_whole_on_gpus_or_not_at_all() -> None:
    """A member that must not read weights from RAM is refused where only that would do; the CPU is one way out."""
    (group,) = small(little(4000, 32768), {"a": 16}, a=On.GPU).groups
    ways = [remedy.changes for remedy in group.remedies]

    assert not group.fits
    assert group.shortfall > 0
    assert ("a partly or whole on the CPU",) in ways
    assert any(" as Q" in way[0] for way in ways)
    assert ("a out",) == ways[-1]


def test_a_budget_is_kept() -> None:
    """Bytes to keep free on one GPU, and a limit of RAM, move layers and prompt caches."""
    known = machine("dual-4090-5070ti")
    stack = plan(known, model("a", path=CODER), budget=Budget(gpus={"CUDA0": 21 * GIB}, ram=4 * GIB))
    shares = {share.pool: share.total for share in stack.members[0].shares}
    args = stack.members[0].plan.server_args

    assert shares.get("CUDA0", 0) <= known.gpu("CUDA0").free - 21 * GIB + 756 * MIB
    assert shares["CUDA1"] > 0
    assert 3 * GIB < shares["RAM"] <= 4 * GIB
    assert int(args[args.index("-cram") + 1]) % 256 == 0
    with pytest.raises(InputError, match="CUDA7: dual-4090-5070ti has no such GPU"):
        plan(known, model("a", path=CODER), budget=Budget(gpus={"CUDA7": 1}))


@pytest.mark.parametrize(("size", "fits"), [(GIB, True), (GIB << 10, False)])
def test_only_what_takes_bytes(size: int, *, fits: bool) -> None:
    """A stack without a model is a sum; what has no priority is no loss."""
    entries = (External(name="x", size=size, pool="CUDA0", priority=0.0),)
    stack = plan(machine("quad-3090"), externals=entries, groups=(Group(name="all", members=("x",)),))

    assert stack.fits is fits
    assert stack.members == ()
    assert [remedy.loss for group in stack.groups for remedy in group.remedies] == [0.0] * (not fits)


def test_bad_requests_name_their_model() -> None:
    """What llama-server would refuse is said of the model that asks for it."""
    with pytest.raises(ArgumentError, match=r"^a: "):
        plan(machine("single-3090"), model("a", path=CODER, cache_type_k="f8"))
    with pytest.raises(InputError, match="no CUDA3"):
        plan(machine("single-3090"), externals=(External(name="x", size=1, pool="CUDA3"),), groups=())


def test_groups_that_need_other_arguments_say_so() -> None:
    """Both groups fit, but b would have to be in RAM for one and on the GPU for the other."""
    stack = small(little(6000, 10000), {"a": 12, "b": 11, "c": 15}, "ab", "bc", a=On.GPU, c=On.CPU)

    assert [group.fits for group in stack.groups].count(True) == 1
    assert any("same arguments" in reason.statement for reason in stack.reasons)
    assert "list its models a second time" in everything(stack_screen(stack))
    assert small(little(6000, 10000), {"a": 12, "b": 11}, a=On.GPU).fits
    assert small(little(6000, 10000), {"b": 11, "c": 15}, c=On.CPU).fits


@pytest.mark.parametrize(("ram_mib", "fits"), [(22000, True), (21500, False)])
def test_models_on_a_gpu_that_draws_on_ram_take_it_once(ram_mib: int, fits: bool) -> None:
    """Two of 8.5 GiB with their contexts, growth and 2 GiB beside them; they wait for each other, wherever they are."""
    row = {"name": "CUDA0", "total_mib": ram_mib, "unified": True, "bandwidth_gbs": 273}
    known = Machine.from_dict({"name": "one", "gpus": [row], "memory": {"total_mib": ram_mib}})
    path = "Llama-3.1-8B-Q4_K_M"
    stack = plan(known, *(model(name, path=path, n_ctx=32768, on=On.GPU) for name in "ab"))

    assert stack.fits is fits
    if fits:
        used = {pool.pool: pool.used for pool in stack.groups[0].pools}
        assert used["RAM"] > used["CUDA0"] > 2 * 9_067_567_488
        for speed in stack.groups[0].speeds:
            assert 0.45 < speed.busy / speed.idle < 0.55
    else:
        assert stack.groups[0].available < ram_mib * MIB
