"""A stratified sample of the oracle: every figure of llama.cpp b11434 that we claim to reproduce, exactly.

Every second case of the sample, all of them with ``OMNIPLAN_EXAMPLES=2`` or more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from omniplan.errors import ArgumentError
from omniplan.llamacpp.ggml.allocate import Allocated, allocate, peak
from omniplan.llamacpp.ggml.neighbours import backends_of
from omniplan.llamacpp.ggml.prepared import Prepared
from omniplan.llamacpp.ggml.schedule import Homes, assign
from omniplan.llamacpp.ggml.splits import Schedule
from omniplan.llamacpp.load import compute
from tests.oracle import cases
from tests.oracle.cases import Case

ALL = cases.load()
PRICED = [case for case in ALL if "error" not in case][:: max(1, 2 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]
REFUSED = [case for case in ALL if "error" in case]

FLAGS_SEEN = """-b -c -cmoe -ctk -ctv -fa -mg -ncmoe -ngl -nkvo -np -ot -sm -ts -ub
--no-kv-unified --no-op-offload --swa-full"""


MACHINES = sorted({case["machine"] for case in PRICED})
# What each refusal of the sample is about; llama.cpp itself only says "abort" for a device that is not in use.
FLAGS = {"abort": "--override-tensor", "llama_init_from_model: K cache": "--cache-type-k"}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_figure(machine: str) -> None:
    """Layers, the three columns of bytes, context, nodes, pipeline copies and splits of both graphs, of every case."""
    cases_here = [case for case in PRICED if case["machine"] == machine]

    found = {cases.label(case): _differences(case) for case in cases_here}

    assert {} == {label: differences for label, differences in found.items() if differences}


def _differences(case: Case) -> dict[str, tuple[object, object]]:
    """The figures that are not the oracle's: its value and ours."""
    priced = cases.price(case)
    buffers, splits = dict(priced.buffers), priced.graph_splits
    assert splits is not None
    pairs: dict[str, tuple[object, object]] = {
        "layers": (cases.layers(case), priced.layers),
        "n_ctx": (case["n_ctx"], priced.n_ctx),
        "n_ubatch": (case["n_ubatch"], priced.n_ubatch),
        "n_seq_max": (case["n_seq_max"], priced.n_seq_max),
        "nodes": (case["nodes"], priced.n_nodes),
        "sched_copies": (case["sched_copies"], priced.sched_copies),
        "splits": (case["splits"], [splits.prefill, splits.decode]),
    }
    for column in ("model", "context", "compute"):
        pairs[column] = cases.truth(case, column), cases.column(buffers, column)
    return {name: (theirs, ours) for name, (theirs, ours) in pairs.items() if theirs != ours}


@pytest.mark.parametrize("start", FLAGS)
def test_refusals(start: str) -> None:
    """Arguments that llama.cpp refuses or aborts on are refused, and the error names the flag and a remedy."""
    refused = [case for case in REFUSED if case["error"].startswith(start)]

    found = {cases.label(case): _refusal(case) for case in refused}

    assert set(found.values()) == {(FLAGS[start], True)}, found


def _refusal(case: Case) -> tuple[str, bool]:
    """The flag that we refuse, and whether a remedy is said."""
    try:
        cases.price(case)
    except ArgumentError as error:
        return error.flag, bool(error.remedy)
    return "", False


def test_every_refusal_is_about_a_flag() -> None:
    """None of the sample's refusals is left out above."""
    assert [case["error"] for case in REFUSED if not case["error"].startswith(tuple(FLAGS))] == []


def test_the_sample_is_stratified() -> None:
    """It shows every header, machine and flag of the oracle's development cases, and stays small."""
    flags = {word for case in ALL for word in case["args"] if word.startswith("-")}

    assert len({case["model"] for case in ALL}) == 102 + 24
    assert set(cases.machines()) >= {case["machine"] for case in ALL}
    assert set(FLAGS_SEEN.split()) == flags
    assert (cases.DATA / "oracle" / "cases.jsonl").stat().st_size < 600_000


def test_one_device_alone_needs_what_it_needs_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """``peak`` looks at one device and finds what the whole run finds there, in every eighth case."""
    seen = []

    def both(plan: Schedule) -> Allocated:
        found = allocate(plan)
        seen.append((found.nbytes, tuple(peak(plan, b) for b in range(len(plan.homes.devices)))))
        return found

    monkeypatch.setattr(compute, "allocate", both)
    for case in PRICED[::8]:
        cases.price(case)

    assert len(seen) >= len(PRICED[::8])
    assert [alone for _, alone in seen] == [together for together, _ in seen]


def test_neighbours_say_where_a_node_runs_as_all_nodes_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two neighbours are enough to say where attention runs, all passes over the graph say the same."""
    seen = []

    def both(graph: Prepared, homes: Homes, nodes: Sequence[int]) -> list[int] | None:
        told = backends_of(graph, homes, nodes)
        if told is not None:
            backend = assign(graph, homes)
            seen.append((told, [backend[i] for i in nodes]))
        return told

    monkeypatch.setattr(compute, "backends_of", both)
    for case in PRICED[::2]:
        cases.price(case)

    assert seen
    assert [told for told, _ in seen] == [found for _, found in seen]
