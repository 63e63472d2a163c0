"""What holds for any plan: it keeps its promises, says itself again, and cuts the graph no finer than it must."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from hypothesis import assume, given
from hypothesis import strategies as st

import omniplan
from omniplan.api.documents import parse_plan
from omniplan.domain.machine import Machine
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.graph import families
from omniplan.llamacpp.graph.graph import Batch
from omniplan.llamacpp.load import compute
from omniplan.llamacpp.load.place import place
from omniplan.units import MIB
from tests.oracle import cases
from tests.property.strategies import examples, machines, names, requests

PROBLEMS = st.tuples(names(), machines(), requests())
Problem = tuple[str, Machine, omniplan.Request]
COUNT = 14


def search(problem: Problem) -> omniplan.Plan:
    """The plan of a problem, searched for now."""
    name, machine, asked = problem
    return omniplan.plan(cases.model(name), machine, asked)


@cache
def _known(problem: Problem) -> omniplan.Plan | None:
    try:
        return search(problem)
    except omniplan.Infeasible:
        return None


def found(problem: Problem) -> omniplan.Plan:
    """The plan of a problem; a problem without one is no example."""
    plan = _known(problem)
    assume(plan is not None)
    assert plan is not None
    return plan


def option(plan: omniplan.Plan, flag: str, default: str) -> str:
    """The value of a flag among a plan's arguments."""
    args = plan.server_args
    return args[args.index(flag) + 1] if flag in args else default


@examples(COUNT)
@given(problem=PROBLEMS)
def test_headroom_is_left(problem: Problem) -> None:
    """Priced again from its arguments alone, a plan leaves every pool what the policy keeps."""
    plan = found(problem)
    name, machine, asked = problem
    policy = asked.headroom
    priced = omniplan.footprint(cases.model(name), machine, plan.server_args)

    for gpu in machine.gpus:
        used = priced.buffers[gpu.name].total if gpu.name in priced.buffers else 0
        assert not used or used <= gpu.free - policy.context_of(gpu, priced) - policy.growth_of(gpu)
    if machine.memory is not None:
        host = sum(size.total for buffer, size in priced.buffers.items() if buffer in ("CPU", "CUDA_Host"))
        prompts = int(option(plan, "-cram", "8192")) * MIB
        assert host + priced.output_buffer + prompts <= machine.memory.available - policy.ram
    assert priced == plan.footprint


@examples(COUNT)
@given(problem=PROBLEMS)
def test_plans_round_trip(problem: Problem) -> None:
    """JSON gives the same plan back."""
    plan = found(problem)

    assert plan == parse_plan(plan.to_json())


@examples(COUNT)
@given(problem=PROBLEMS)
def test_arguments_say_everything(problem: Problem) -> None:
    """Context, slots and fit are explicit, the batch is never the micro-batch, and overrides keep to their number."""
    plan = found(problem)
    args, asked = plan.server_args, problem[2]

    assert (str(asked.n_ctx), str(asked.n_parallel)) == (option(plan, "-c", ""), option(plan, "-np", ""))
    assert (str(asked.n_ubatch), "off") == (option(plan, "-ub", ""), option(plan, "--fit", ""))
    assert option(plan, "-b", "2048") != option(plan, "-ub", "")
    assert len(args) == len({word for word in args if word.startswith("-")}) * 2 - ("--no-op-offload" in args)
    assert args.count("-ot") <= 1
    bound = asked.max_patterns
    most = 3 + len(problem[1].gpus) if bound is None else bound
    assert option(plan, "-ot", "").count("=") <= most


@examples(COUNT)
@given(problem=PROBLEMS)
def test_fewest_splits(problem: Problem) -> None:
    """One token needs a split wherever the next weight or cache lies elsewhere, and a plan needs no more."""
    plan = found(problem)
    splits = plan.footprint.graph_splits

    assert splits is not None
    assert changes_of_device(problem[0], problem[1], plan.server_args) == splits.decode


def changes_of_device(name: str, machine: Machine, args: tuple[str, ...]) -> int:
    """Runs of weights and caches on one backend in the order of the graph: no schedule has fewer splits.

    A weight on the CPU counts for the first GPU where op offload takes its operation there, which happens even to one
    token: the norm of 32 heads is a batch of 32 rows to llama.cpp.
    """
    model = cases.model(name)
    placement = place(model, machine, parse(args))
    graph = families.build(model, placement.context, Batch.decode(placement.context))
    prepared = Prepared(graph.nodes, graph.leafs, graph.on_cpu)
    homes = compute.homes(model, placement, placement.context.n_seq_max)
    runs = [""]
    for i in prepared.work:
        for source in prepared.home_sources[i]:
            device = homes.home(prepared.tensors[source])
            if device in ("CPU", "CUDA_Host"):
                offers = placement.gpus if homes.op_offload else ()
                takes = offers and prepared.offloads(offers[0].backend).get(i)
                device = placement.devices[0] if takes else "CPU"
            if device != runs[-1]:
                runs.append(device)
    return len(runs) - 1


@examples(10)
@given(problem=PROBLEMS, extra=st.integers(1, 32768), where=st.integers(0, 3))
def test_more_memory_never_hurts(problem: Problem, extra: int, where: int) -> None:
    """What fits still fits when any one GPU grows."""
    found(problem)
    name, machine, asked = problem
    larger = _grown(machine, where % len(machine.gpus), extra * MIB)

    assert _known((name, larger, asked)) is not None


def _grown(machine: Machine, index: int, extra: int) -> Machine:
    gpus = list(machine.gpus)
    gpus[index] = replace(gpus[index], total=gpus[index].total + extra, free=gpus[index].free + extra)
    return replace(machine, gpus=tuple(gpus))


@examples(5)
@given(problem=PROBLEMS)
def test_same_input_same_output(problem: Problem) -> None:
    """A plan depends on nothing but its input."""
    plan = found(problem)
    again = search((problem[0], Machine.from_dict(problem[1].to_dict()), problem[2]))

    assert plan.to_json() == again.to_json()


@examples(10)
@given(problem=PROBLEMS)
def test_a_gpu_never_hurts(problem: Problem) -> None:
    """What fits into RAM alone still fits with GPUs beside it, however small."""
    name, machine, asked = problem
    asked = replace(asked, pins=())
    assume(_known((name, replace(machine, gpus=()), asked)) is not None)

    assert _known((name, machine, asked)) is not None
