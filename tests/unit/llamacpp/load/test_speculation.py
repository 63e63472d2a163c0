"""What drafting adds: rows of logits and states in the main context, and a context of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import omniplan
from omniplan.domain.footprint import BufferSize, ContextKind, Footprint
from omniplan.domain.machine import Machine
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags.args import parse
from omniplan.units import MIB
from tests.oracle import cases

ZOO = Path(__file__).parents[3] / "data" / "models" / "zoo"
DRAFT = str(ZOO / "Qwen3-0.6B-Q8_0.gguf")


def machine(n_gpu: int = 1) -> Machine:
    """Large GPUs, so that everything fits."""
    gpus = [{"name": f"CUDA{i}", "total_mib": 98304, "compute_capability": "8.6"} for i in range(n_gpu)]
    return Machine.from_dict({"name": "large", "gpus": gpus, "memory": {"total_mib": 262144}})


def price(model: str, args: Sequence[str], n_gpu: int = 1) -> Footprint:
    """The price of ``args`` with every layer on GPUs."""
    return omniplan.footprint(cases.model(model), machine(n_gpu), ["-ngl", "99", "-c", "16384", *args])


def context(priced: Footprint, kind: ContextKind = ContextKind.MAIN) -> int:
    """Bytes of caches and states."""
    return sum(size.context for size in priced.contexts[kind].values())


@pytest.mark.parametrize(("n_max", "added"), [(1, 627_572_736), (3, 1_882_718_208)])
def test_drafted_tokens_can_be_taken_back(n_max: int, added: int) -> None:
    """Four slots of Qwen3.6-27B keep n_max earlier states each: 1,795 MiB for three."""
    plain = price("Qwen3.6-27B-MTP-Q4_K_M", ["-np", "4"])
    asked = ["--spec-type", "draft-mtp", "--spec-draft-n-max", str(n_max)]
    drafting = price("Qwen3.6-27B-MTP-Q4_K_M", ["-np", "4", *asked])

    assert context(drafting) - context(plain) == added
    assert 1_882_718_208 // MIB == 1795


def test_only_some_architectures_and_kinds_keep_states() -> None:
    """Qwen3-Next cannot go back, a plain draft is checked without, and there is nothing to keep without states."""
    for model, kind in (
        ("Qwen3-Next-80B-A3B-Q4_K_M", "draft-eagle3"),
        ("Qwen3.6-27B-MTP-Q4_K_M", "draft-simple"),
        ("Qwen3-8B-Q4_K_M", "draft-eagle3"),
    ):
        assert context(price(model, ["-np", "2", "--spec-type", kind])) == context(price(model, ["-np", "2"]))


@pytest.mark.parametrize(
    ("flags", "n_draft"),
    [
        ("", 0),
        ("--spec-type draft-simple", 3),
        ("--spec-type draft-mtp --spec-draft-n-max 6", 6),
        ("--spec-type ngram-simple", 48),
        ("--spec-type ngram-map-k --spec-ngram-map-k-size-m 20", 20),
        ("--spec-type ngram-map-k4v,draft-mtp --spec-ngram-map-k4v-size-m 2", 3),
        ("--spec-default", 64),
        ("--spec-type ngram-cache", 8),
    ],
)
def test_rows_of_logits(flags: str, n_draft: int) -> None:
    """Every slot may have its longest draft checked at once."""
    assert parse(flags.split()).n_draft_max == n_draft


def test_n_grams_take_no_context_of_their_own() -> None:
    """Everything about them is priced in the main one."""
    priced = price("Qwen3-8B-Q4_K_M", ["--spec-type", "ngram-mod,ngram-cache"])

    assert (priced.fits, list(priced.contexts)) == (True, [ContextKind.MAIN])


def test_a_draft_model_takes_what_it_would_alone() -> None:
    """Weights, cache and compute of the same file served with the main model's context, but for its own types."""
    args = ["-np", "2", "-md", DRAFT, "--spec-type", "draft-simple", "-ctkd", "q8_0", "-ctvd", "q8_0"]
    priced = price("Qwen3-8B-Q4_K_M", [*args, "-ctk", "f32"])
    alone = price("Qwen3-0.6B-Q8_0", ["-np", "2", "-ctk", "q8_0", "-ctv", "q8_0"])

    assert priced.contexts[ContextKind.DRAFT] == alone.contexts[ContextKind.MAIN]
    assert priced.fits is True


def test_a_draft_may_lie_elsewhere() -> None:
    """Its own devices, layers and overrides; the main model's context is the same."""
    common = ["--spec-type", "draft-simple", "-np", "1"]
    plain = price("Qwen3-8B-Q4_K_M", common, n_gpu=2)
    args = [*common, "-md", DRAFT, "-devd", "CUDA1", "-ngld", "5", "-otd", "ffn_down=CPU"]
    priced = price("Qwen3-8B-Q4_K_M", args, n_gpu=2)
    draft = priced.contexts[ContextKind.DRAFT]

    assert priced.contexts[ContextKind.MAIN] == plain.contexts[ContextKind.MAIN]
    assert draft.get("CUDA0", BufferSize()).total == 0
    assert draft["CUDA1"].model > 0
    assert draft["CPU"].context > draft["CUDA1"].context


def test_a_draft_that_is_refused() -> None:
    """The flag is the draft's."""
    with pytest.raises(ArgumentError, match="--spec-draft-type-v"):
        price("Qwen3-8B-Q4_K_M", ["-md", DRAFT, "-fa", "off", "-ctvd", "q8_0"])


def test_a_kind_without_a_graph_is_not_known() -> None:
    """Nextn layers of an architecture that has no graph of them."""
    priced = price("Qwen3-8B-Q4_K_M", ["--spec-type", "draft-mtp"])

    assert (priced.fits, [item.subject for item in priced.unpriced]) == (None, ["--spec-type"])


def test_kinds_are_read_off_the_draft() -> None:
    """Without --spec-type the header of the draft says what it is for; a plain model says nothing."""
    mtp = cases.model("Qwen3.6-27B-MTP-Q4_K_M").header.paths[0]

    assert context(price("Qwen3.6-27B-MTP-Q4_K_M", ["-np", "1", "-md", mtp])) == context(
        price("Qwen3.6-27B-MTP-Q4_K_M", ["-np", "1", "--spec-type", "draft-mtp"])
    )


def test_nextn_layers_draft_in_a_context_of_their_own() -> None:
    """One layer's f16 cache over the whole context, whatever -ctk says, and compute for the whole micro-batch."""
    args = ["-np", "2", "--spec-type", "draft-mtp", "-ctk", "q8_0", "-ctv", "q8_0"]
    priced = price("Qwen3.6-27B-MTP-Q4_K_M", args)
    small = price("Qwen3.6-27B-MTP-Q4_K_M", [*args, "-ub", "256"])
    head = priced.contexts[ContextKind.MTP]["CUDA0"]

    assert (priced.fits, priced.unpriced) == (True, ())
    assert (head.model, head.context) == (0, 2 * 2 * 4 * 256 * 16384)
    assert head.compute > small.contexts[ContextKind.MTP]["CUDA0"].compute > 0


def test_nextn_layers_that_are_not_there() -> None:
    """llama.cpp asserts that the model has them."""
    with pytest.raises(ArgumentError, match="there are none"):
        price("Qwen3-Next-80B-A3B-Q4_K_M", ["--spec-type", "draft-mtp"])
