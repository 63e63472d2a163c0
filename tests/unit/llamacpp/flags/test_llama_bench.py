"""Arguments of llama-server said to llama-bench, and read back from what it prints."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.params import FlashAttn, LazyMode, LoadMode, Override, ServerParams
from omniplan.domain.prediction import Phase
from omniplan.errors import ArgumentError
from omniplan.llamacpp.build import release
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.llama_bench import bench_args
from omniplan.llamacpp.flags.write import write
from omniplan.predict.bench_rows import bench_runs
from tests.property.strategies import examples
from tests.real.llama_bench import row_of

TODAY = release(11434)
MODEL = omniplan.load_model("tests/data/models/archs/llama-moe.gguf")
CACHES = st.sampled_from(["f16", "q8_0", "q4_0", "iq4_nl"])
PARAMS = st.builds(
    ServerParams,
    n_ubatch=st.sampled_from([64, 512, 2048]),
    n_batch=st.sampled_from([2048, 4096]),
    flash_attn=st.sampled_from(FlashAttn),
    cache_type_k=CACHES,
    cache_type_v=CACHES,
    offload_kqv=st.booleans(),
    n_gpu_layers=st.integers(0, 99),
    tensor_split=st.lists(st.integers(1, 99).map(float), max_size=4).map(tuple),
    main_gpu=st.integers(0, 3),
    devices=st.sampled_from([None, ("CUDA0",), ("CUDA1", "CUDA0")]),
    overrides=st.lists(st.integers(1, 60), max_size=3).map(
        lambda blocks: tuple(Override(rf"blk\.{il}\.ffn_(up|down)_exps", "CPU") for il in blocks)
    ),
    fit=st.just(False),
    op_offload=st.booleans(),
    load_mode=st.sampled_from(LoadMode),
    lazy_mode=st.sampled_from(LazyMode),
    no_host=st.booleans(),
    repack=st.booleans(),
    n_threads=st.integers(1, 64),
    n_threads_batch=st.integers(1, 64),
)


@examples(60)
@given(params=PARAMS, phase=st.sampled_from(Phase))
def test_what_is_said_is_what_it_prints(params: ServerParams, phase: Phase) -> None:
    """Its row, read back, is the same placement and the same batches, under the threads of its phase."""
    test = ["-p", "64", "-n", "0"] if phase is Phase.PROMPT else ["-p", "0", "-n", "64"]
    words = bench_args(write(params), TODAY, phase)
    row = row_of(["-m", "x", *words, *test, "-r", "2", "-o", "json"])
    (run,) = bench_runs([row | {"model_size": MODEL.header.tensor_bytes}], MODEL)
    found = parse(run.args)

    threads = params.n_threads_batch if phase is Phase.PROMPT else params.n_threads
    assert found.n_threads == threads
    ours = {"n_threads": 0, "n_threads_batch": 0, "n_ctx": 0, "n_ctx_given": True, "n_parallel": 1}
    assert replace(found, **ours) == replace(params, **ours)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-ngl", "all", "-c", "4096", "-np", "2", "-fa"], ["-ngl", "999", "-fa", "on"]),
        (["--cpu-moe", "--no-mmproj"], ["-ncmoe", "999"]),
        (["-ot", "a=CPU,b=CUDA0", "-ot", "c=CPU", "-ts", "3,1"], ["-ot", "a=CPU;b=CUDA0;c=CPU", "-ts", "3/1"]),
        (["-tb", "8", "-t", "4"], ["-t", "8"]),
        (["-t", "-1", "--no-repack"], ["--repack", "0"]),
    ],
)
def test_words(args: list[str], words: list[str]) -> None:
    """Lists have other signs between items, switches numbers, and what has no part in speed is left out."""
    assert list(bench_args(args, TODAY, Phase.PROMPT)) == words


def test_an_older_build_is_told_in_its_words() -> None:
    """How the file is read was said otherwise before b10108."""
    assert bench_args(["--load-mode", "none"], release(10000), Phase.DECODE) == ("-mmp", "0")
    assert bench_args(["--load-mode", "dio"], release(10000), Phase.DECODE) == ("-dio", "1")


@pytest.mark.parametrize(
    ("args", "build"),
    [
        (["--swa-full"], 11434),
        (["-md", "draft.gguf"], 11434),
        (["--fit", "on"], 11434),
        (["-ctk", "f32"], 11434),
        (["-ot", "a;b=CPU"], 11434),
        (["--load-mode", "mlock"], 10000),
        (["--no-repack"], 11000),
        (["-ngl", "9"], 9310),
    ],
)
def test_what_it_has_no_words_for_is_named(args: list[str], build: int) -> None:
    """Nothing is left out in silence that could change a speed."""
    with pytest.raises(ArgumentError, match="measure it with llama-server"):
        bench_args(args, release(build), Phase.PROMPT)
