"""Adapters of low rank and control vectors: their bytes and what applying them takes, counted by the library."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.api.source import served
from omniplan.certify.values import Tally
from omniplan.domain.footprint import ContextKind
from omniplan.domain.model import Model
from omniplan.errors import ArgumentError
from omniplan.gguf.adapter import faults
from omniplan.llamacpp.flags.args import parse
from tests.headers import write_gguf
from tests.oracle import adapters, cases
from tests.oracle.cases import Case

CASES = [json.loads(line) for line in adapters.FILE.read_text(encoding="utf-8").splitlines()]
QWEN = cases.model("Qwen3-0.6B-Q8_0")
MACHINE = cases.machines()["single-3090"]
ARGS = ("-c", "8192", "-np", "1", "-ngl", "99")


@pytest.fixture
def adapter(tmp_path: Path) -> str:
    """A file for the model."""
    return str(adapters.write(QWEN, tmp_path / "a.gguf", 8, "f16"))


def with_adapter(*flags: str) -> tuple[Model, list[str]]:
    """The model with the files that ``flags`` name, and all arguments."""
    args = [*ARGS, *flags]
    return served(QWEN, parse(args)), args


@pytest.mark.parametrize("build", [11434, 11549])
def test_every_figure_of_the_library(build: int, tmp_path: Path) -> None:
    """Every buffer of the main context, splits, and the adapters' bytes as they are printed."""
    wrong = {cases.label(case) + str(case["adapters"]): _differences(case, build, tmp_path) for case in CASES}

    assert len(wrong) == len(adapters.ASKED)
    assert {label: found for label, found in wrong.items() if found} == {}


def _differences(case: Case, build: int, folder: Path) -> list[str]:
    model, args = adapters.loaded(case, folder)
    tally = Tally.of(omniplan.footprint(model, cases.machines()[case["machine"]], args, build=build))
    buffers = {name: [s.model, s.context, s.compute] for name, s in tally.buffers.items() if s.total}
    splits = tally.graph_splits
    found: dict[str, object] = {"buffers": buffers, "splits": splits and [splits.prefill, splits.decode]}
    if case["adapters"]:
        # llama.cpp prints no control vectors.
        found["sizes"] = adapters.sizes(tally)
    return [f"{name}: {value}, counted {case[name]}" for name, value in found.items() if value != case[name]]


def test_a_control_vector_is_a_row_for_each_layer_but_the_first() -> None:
    """No file is needed for that."""
    priced = omniplan.footprint(QWEN, MACHINE, [*ARGS, "--control-vector", "v.gguf"])
    plain = omniplan.footprint(QWEN, MACHINE, ARGS)

    held = priced.contexts[ContextKind.ADAPTERS]
    assert {name: size.total for name, size in held.items()} == {"CUDA0": 27 * 4 * QWEN.hparams.n_embd}
    assert priced.contexts[ContextKind.MAIN] == plain.contexts[ContextKind.MAIN]
    assert priced.fits


def test_fit_does_not_count_adapters(adapter: str) -> None:
    """Its dry pass measures the model before they are loaded; its verdict counts them."""
    model, args = with_adapter("--lora", adapter)
    dry = omniplan.footprint(model, MACHINE, args, no_alloc=True)
    plain = omniplan.footprint(QWEN, MACHINE, ARGS, no_alloc=True)

    assert dry.contexts[ContextKind.MAIN] == plain.contexts[ContextKind.MAIN]
    assert omniplan.fit(model, MACHINE, args).args == omniplan.fit(QWEN, MACHINE, ARGS).args


def test_what_is_not_priced_is_not_known() -> None:
    """An adapter whose file is not there."""
    model, args = with_adapter("--lora", "missing.gguf")

    assert omniplan.footprint(model, cases.machines()["dual-4090-5070ti"], args).fits is None


@pytest.mark.parametrize("how", [("--lora-init-without-apply",), ()])
def test_devices_that_divide_tensors_hold_adapters_whole(how: tuple[str, ...], adapter: str) -> None:
    """The library allocates every factor on each of them; it aborts once one is added to a slice."""
    model, args = with_adapter("--lora", adapter)
    machine, divided = cases.machines()["dual-4090-5070ti"], [*args, "-sm", "tensor", *how]
    if not how:
        with pytest.raises(ArgumentError, match=r"--lora: llama.cpp aborts, blk\.0\.\w+\.weight is divided"):
            omniplan.footprint(model, machine, divided)
        return

    alone = omniplan.footprint(model, MACHINE, [*args, *how]).contexts[ContextKind.ADAPTERS]
    found = omniplan.footprint(model, machine, divided).contexts[ContextKind.ADAPTERS]
    assert found == {"CUDA0": alone["CUDA0"], "CUDA1": alone["CUDA0"]}


def test_an_adapter_of_the_embedding_is_not_known_or_refused(tmp_path: Path) -> None:
    """Where it is the output as well the library aborts; else its bytes are right and its compute may not be."""
    untied = cases.model("llama-dense")
    for model, name in ((QWEN, "tied.gguf"), (untied, "untied.gguf")):
        n_embd, n_vocab = model.hparams.n_embd, model.hparams.n_vocab
        rows = [("token_embd.weight.lora_a", "f32", (8, n_vocab)), ("token_embd.weight.lora_b", "f32", (8, n_embd))]
        metadata = {"general.architecture": model.arch, "general.type": "adapter", "adapter.type": "lora"}
        write_gguf(tmp_path / name, metadata, rows)
    args = [*ARGS, "--lora", str(tmp_path / "untied.gguf")]
    priced = omniplan.footprint(served(untied, parse(args)), MACHINE, args)

    assert (priced.fits, [item.subject for item in priced.unpriced]) == (None, ["--lora"])
    tied, args = with_adapter("--lora", str(tmp_path / "tied.gguf"))
    with pytest.raises(ArgumentError, match="is the output as well"):
        omniplan.footprint(tied, MACHINE, args)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    """By its architecture, a shape, a missing factor, or a tensor that the model does not have."""
    tensors, arch = QWEN.header.by_name, QWEN.arch
    good = omniplan.gguf.read_header(adapters.write(QWEN, tmp_path / "good.gguf", 8, "f16"))
    first, second, *_ = good.tensors

    assert faults(good, tensors, arch) == ""
    assert "general.architecture" in faults(good, tensors, "llama")
    assert "missing one part" in faults(replace(good, tensors=(first,)), tensors, arch)
    assert "another shape" in faults(replace(good, tensors=(replace(first, shape=(3, 8)), second)), tensors, arch)
    assert "unexpected suffix" in faults(replace(good, tensors=(replace(first, name="a.weight"),)), tensors, arch)
    assert "has no tensor" in faults(good, {}, arch)
    llama = write_gguf(tmp_path / "llama.gguf", {"general.architecture": "llama", "general.type": "adapter"}, [])
    model, args = with_adapter("--lora", str(llama))
    with pytest.raises(ArgumentError, match="use an adapter of this model"):
        omniplan.footprint(model, MACHINE, args)
