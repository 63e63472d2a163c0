"""What the search reckons with of graph splits is what the simulated scheduler makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.domain.request import Request
from omniplan.planning import candidates
from omniplan.planning.planner import solve
from omniplan.planning.problem import Problem
from omniplan.planning.ranges import Range
from tests.oracle import cases

# Dense, and experts: with a gate, without, fused with it, beside shared ones, under latent attention, Mamba between.
NAMES = (
    "Llama-3.1-8B-Q4_K_M",
    "Mixtral-8x7B-Q4_K_M",
    "gpt-oss-20b-MXFP4_MOE",
    "GLM-4.7-Flash-Q4_K_M",
    "Qwen3.5-35B-A3B-Q6_K",
    "granite-4.0-h-small-Q4_K_M",
)
MOVED = tuple(range(8, 12))


def decode_splits(problem: Problem, part: Range) -> int:
    """Pieces of the graph of one token."""
    costs, n_layer_all = problem.costs, problem.model.hparams.n_layer_all
    candidate = candidates.split(problem.params, problem.machine, [part], costs.tensors, n_layer_all, problem.pins)
    splits = problem.price(candidate).footprint.graph_splits
    assert splits is not None
    return splits.decode


@pytest.mark.parametrize("name", NAMES)
def test_moved_layers_take_two_and_cut_ones_no_more(name: str) -> None:
    """However a layer is cut; the programme charges two for each."""
    model, machine = cases.model(name), omniplan.load_machine("h100")
    problem = solve(model, machine, Request(n_ctx=8192, baselines=False)).problem
    ways = problem.costs.partials[MOVED[0]]
    every = Range(name="CUDA0", first=0, last=model.hparams.n_layer_all + 1, moved=MOVED)
    cut = [decode_splits(problem, replace(every, cut=MOVED[0], partial=way)) for way in ways]

    whole = decode_splits(problem, every)
    assert whole == decode_splits(problem, replace(every, moved=MOVED[1:])) + 2
    assert cut == [whole] * len(ways)
    assert len(ways) > 1
