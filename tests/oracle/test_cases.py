"""A stratified sample of the oracle: every figure of llama.cpp b11434 that we claim to reproduce, exactly.

Every second case of the sample, all of them with ``OMNIPLAN_EXAMPLES=2`` or more.
"""

from __future__ import annotations

import os

import pytest

from omniplan.errors import ArgumentError
from tests.oracle import cases
from tests.oracle.cases import Case

ALL = cases.load()
PRICED = [case for case in ALL if "error" not in case][:: max(1, 2 // int(os.environ.get("OMNIPLAN_EXAMPLES", "1")))]
REFUSED = [case for case in ALL if "error" in case]

FLAGS_SEEN = """-b -c -cmoe -ctk -ctv -fa -mg -ncmoe -ngl -nkvo -np -ot -sm -ts -ub
--no-kv-unified --no-op-offload --swa-full"""


def _ids(some: list[Case]) -> list[str]:
    return [cases.label(case) for case in some]


@pytest.mark.parametrize("index", range(len(PRICED)), ids=_ids(PRICED))
def test_every_figure(index: int) -> None:
    """Layers, model and context bytes, then context, nodes, pipeline copies, splits of both graphs and compute bytes.

    One test, since the price that they are read from is what takes time.
    """
    case = PRICED[index]
    priced = cases.price(case)
    buffers, splits = dict(priced.buffers), priced.graph_splits

    assert cases.layers(case) == priced.layers
    assert cases.truth(case, "model") == cases.column(buffers, "model")
    assert cases.truth(case, "context") == cases.column(buffers, "context")

    assert splits is not None
    assert (case["n_ctx"], case["n_ubatch"], case["n_seq_max"]) == (priced.n_ctx, priced.n_ubatch, priced.n_seq_max)
    assert (case["nodes"], case["sched_copies"]) == (priced.n_nodes, priced.sched_copies)
    assert case["splits"] == [splits.prefill, splits.decode]
    assert cases.truth(case, "compute") == cases.column(buffers, "compute")


# What each refusal of the sample is about; llama.cpp itself only says "abort" for a device that is not in use.
FLAGS = {"abort": "--override-tensor", "llama_init_from_model: K cache": "--cache-type-k"}


@pytest.mark.parametrize("case", REFUSED, ids=_ids(REFUSED))
def test_refusals(case: Case) -> None:
    """Arguments that llama.cpp refuses or aborts on are refused, and the error names the flag."""
    expected = next(flag for start, flag in FLAGS.items() if case["error"].startswith(start))

    with pytest.raises(ArgumentError) as caught:
        cases.price(case)

    assert expected == caught.value.flag
    assert caught.value.remedy


def test_the_sample_is_stratified() -> None:
    """It shows every header, machine and flag of the oracle's development cases, and stays small."""
    flags = {word for case in ALL for word in case["args"] if word.startswith("-")}

    assert len({case["model"] for case in ALL}) == 102 + 24
    assert set(cases.machines()) == {case["machine"] for case in ALL}
    assert set(FLAGS_SEEN.split()) == flags
    assert (cases.DATA / "oracle" / "cases.jsonl").stat().st_size < 600_000
