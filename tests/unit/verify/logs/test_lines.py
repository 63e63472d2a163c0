"""Every documented spelling of a line states its fact, and lines find their load; figures are made up."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from omniplan.units import MIB
from omniplan.verify.logs import parse_log, parse_stream, read_log
from omniplan.verify.logs.collect import GLOBAL_READERS, LOAD_READERS
from omniplan.verify.logs.lines import process_of
from omniplan.verify.logs.match import LineMatcher
from omniplan.verify.logs.process import BEGINNINGS
from omniplan.verify.logs.report import BufferKind, LoadReport
from omniplan.verify.logs.table import facts

ROWS = [json.loads(row) for row in Path("tests/data/logs/lines.jsonl").read_text(encoding="utf-8").splitlines()]
# These stand alone on their line.
BARE = ("bench_row", "fitted", "projection")


def test_lines_state_their_facts() -> None:
    """The fact, and the values that matter, behind any prefix."""
    wrong = {}
    for row in ROWS:
        for prefix in ("", "0.00.720.705 I cmn  common_param: "):
            if prefix and (row["fact"] in BARE or row["line"].startswith("build: b")):
                continue
            found = LineMatcher().stated(prefix + row["line"])
            if found is None or row["fact"] != found[0] or not row["values"].items() <= found[1].items():
                wrong[prefix + row["line"]] = found

    assert wrong == {}


# A load and its context have begun before any of the lines is read.
BEGUN = ("load_tensors: offloaded 1/2 layers to GPU", "llama_context: constructing llama_context")
# These change what later lines mean; tests below read them with those.
SILENT = {"breakdown", "context", "loading_draft"}


def test_facts_are_read_where_they_belong() -> None:
    """Every fact leaves its value at its place in the report, sizes in bytes."""
    wrong = {}
    for row in ROWS:
        document = json.loads(parse_log([*BEGUN, row["line"]]).to_json())
        found = {path: _at(document, path) for path in row.get("read", {})}
        if found != row.get("read", {}):
            wrong[row["line"]] = found

    assert wrong == {}
    assert facts() - {row["fact"] for row in ROWS if "read" in row} == SILENT


def _at(document: Any, path: str) -> object:
    """What stands at ``loads/0/offloaded``; the path as far as it goes where there is nothing."""
    for key in path.split("/"):
        try:
            document = document[int(key) if isinstance(document, list) else key]
        except (IndexError, KeyError, TypeError):
            return f"no {key} in {path}"
    return document


def test_every_fact_is_spelled_at_least_once() -> None:
    """A row of the table without a line that it reads could say anything."""
    assert facts() == {row["fact"] for row in ROWS}


@pytest.mark.parametrize(
    "line",
    [
        "llm_load_tensors: ggml ctx size =    0.48 MiB",
        "llama_new_context_with_model:  CUDA_Host input buffer size   =    13.02 MiB",
        "srv        update:  - cache state: 4 prompts, 269.376 MiB (limits: 8192.000 MiB, 4096 tokens, 25606 est)",
        "slot print_timing: id  0 | task 0 |       total time =      43.02 ms /   340 tokens",
        "ggml_metal_add_buffer: allocated 'data' buffer, size =  4096.00 MiB",
        "llama_context: n_ctx_seq (2048) < n_ctx_train (4096) -- the full capacity of the model will not be utilized",
    ],
)
def test_a_line_that_only_looks_alike_changes_nothing(line: str) -> None:
    """It states nothing, or nothing about any buffer."""
    found = LineMatcher().stated(line)

    assert found is None or found[0] not in {"buffer", "cache", "timing", "setting"} or "input" in line


def test_every_fact_has_one_reader() -> None:
    """The table and the readers name the same facts."""
    assert facts() == {*GLOBAL_READERS, *LOAD_READERS, *BEGINNINGS}


@pytest.mark.parametrize(
    ("line", "process"),
    [
        ("[52341] 0.00.1 I llama_context: n_ctx = 1", "52341"),
        ("0.00.012.345 I [52341] llama_context: n_ctx = 1", "52341"),
        ("2026-08-20 22:05:59.123 | [77] load", "77"),
        ("server-1  | load_tensors: x", "server-1"),
        ("[llama-2] load_tensors: x", "llama-2"),
        ("[INFO] load_tensors: x", ""),
        ("[2026-08-20 22:05:59] load_tensors: x", ""),
        ("Nov 25 22:15:47 host llama-server[12]: load", "12"),
        ("slot print_timing: id  0 | task 0 | prompt", ""),
        ("| glm 30B | 29 GiB |", ""),
        ("llama_model_loader: - kv 1: tokens arr[str,154880] = [1234] x", ""),
    ],
)
def test_the_process_is_read_from_the_prefix(line: str, process: str) -> None:
    """Numbers elsewhere in a line are no process."""
    assert process == process_of(line)


def read(*lines: str) -> LoadReport:
    return parse_log(lines)


def test_mapped_shards_add_up_and_dry_runs_do_not_count() -> None:
    """Fit rehearses with 0.00 MiB first; every shard has a line of its own."""
    load = "llama_model_loader: loaded meta data with 3 key-value pairs and 9 tensors from a.gguf (version GGUF V3)"
    report = read(
        load,
        "load_tensors:        CUDA0 model buffer size =     0.00 MiB",
        "llama_context: n_ctx         = 4096",
        "sched_reserve:      CUDA0 compute buffer size =   100.00 MiB",
        load,
        "load_tensors:   CPU_Mapped model buffer size =    10.00 MiB",
        "load_tensors:   CPU_Mapped model buffer size =    20.00 MiB",
        "load_tensors:        CUDA0 model buffer size =    30.00 MiB",
    )

    assert [True, False] == [load.is_dry for load in report.loads]
    assert report.load is not None
    assert report.load.sizes(BufferKind.MODEL) == {"CPU_Mapped": 30 * MIB, "CUDA0": 30 * MIB}


def test_a_draft_model_is_not_the_model() -> None:
    """The load after "loading draft model" is kept apart, even when it is the bigger one."""
    loaded = "llama_model_loader: loaded meta data with 3 key-value pairs and 9 tensors from {} (version GGUF V3)"
    report = read(
        "srv    load_model: loading model '/m/main.gguf'",
        loaded.format("/m/main.gguf"),
        "load_tensors: CUDA0 model buffer size = 100.00 MiB",
        "llama_context: n_ctx = 4096",
        "srv    load_model: loading draft model '/m/draft.gguf'",
        loaded.format("/m/draft.gguf"),
        "load_tensors: CUDA0 model buffer size = 900.00 MiB",
    )

    assert report.load is not None
    assert (report.load.model.path, [False, True]) == ("/m/main.gguf", [load.is_draft for load in report.loads])


def test_further_contexts_and_projectors_are_kept_apart() -> None:
    """An MTP context comes after the main one's compute buffers; clip prints buffers under its own names."""
    report = read(
        "llama_context: n_ctx = 8192",
        "llama_kv_cache: CUDA0 KV buffer size = 480.00 MiB",
        "sched_reserve: CUDA0 compute buffer size = 625.00 MiB",
        "reserve_compute_meta: CUDA0 compute buffer size = 64.49 MiB",
        "llama_context: CUDA_Host output buffer size = 3.79 MiB",
        "llama_kv_cache: CUDA0 KV buffer size = 32.00 MiB",
        "sched_reserve: CUDA0 compute buffer size = 520.00 MiB",
    )

    assert report.load is not None
    assert report.load.sizes(BufferKind.KV) == {"CUDA0": 480 * MIB}
    assert report.load.sizes(BufferKind.COMPUTE) == {"CUDA0": 625 * MIB}
    assert (2, 1) == (len(report.load.contexts), len(report.load.projector))


def test_the_last_start_of_a_server_counts() -> None:
    """A log that several starts were appended to is judged by its last."""
    start = "build: 8022 (b48e80f67) with cc", "load_tensors: CUDA0 model buffer size = {} MiB"
    report = read(*(line.format(size) for size in ("900.00", "100.00") for line in start))

    assert report.load is not None
    assert report.load.sizes(BufferKind.MODEL) == {"CUDA0": 100 * MIB}


def test_a_refused_pipeline_that_went_on_is_survived() -> None:
    """llama.cpp tries again without pipeline copies; the compute buffers printed after it are the ones that count."""
    report = read(
        "load_tensors: CUDA0 model buffer size = 900.00 MiB",
        "llama_kv_cache: CUDA0 KV buffer size = 1.00 MiB",
        "ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 940572672",
        "sched_reserve: compute buffer allocation failed, retrying without pipeline parallelism",
        "sched_reserve: CUDA0 compute buffer size = 300.00 MiB",
    )

    assert report.load is not None
    assert [True] == [item.is_survived for item in report.load.refused]


def test_a_refused_cache_beside_the_model_is_no_weight() -> None:
    """MTP's cache is refused when the weights lie where they should, whether or not the log says who asks."""
    for contexts in ([], ["llama_context: constructing llama_context", "llama_context: n_ctx = 4096"]):
        report = read(
            "load_tensors: CUDA0 model buffer size = 900.00 MiB",
            *contexts,
            "alloc_tensor_range: failed to allocate CUDA0 buffer of size 536870912",
            "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
        )

        assert report.load is not None
        assert [BufferKind.KV] == [item.kind for item in report.load.refused]


def test_the_last_table_of_memory_counts() -> None:
    """A server prints the table again when it ends, with other devices where some are gone."""
    head = "x: | memory breakdown [MiB] | total free self model context compute unaccounted |"
    report = read(
        "load_tensors: CUDA0 model buffer size = 1.00 MiB",
        head,
        "x: |   - CUDA0 (RTX) | 24576 = 23000 + ( 3 =  1 +  1 +  1) +  1573 |",
        "x: |   - CUDA1 (RTX) | 24576 = 23000 + ( 3 =  1 +  1 +  1) +  1573 |",
        head,
        "x: |   - CUDA0 (RTX) | 24576 = 22999 + ( 4 =  2 +  1 +  1) +  1573 |",
    )

    assert report.load is not None
    assert [("CUDA0", 2 * MIB)] == [(row.device, row.model) for row in report.load.breakdown]


def test_a_context_begins_with_its_line() -> None:
    """What is printed after it belongs to another context than what was printed before."""
    built = ("llama_context: constructing llama_context", "llama_context: n_ctx = {}")
    report = read(*(line.format(n_ctx) for n_ctx in (4096, 8192) for line in built))

    assert report.load is not None
    assert ["4096", "8192"] == [context.settings["n_ctx"] for context in report.load.contexts]


def test_jsonl_of_2024_gives_its_build() -> None:
    """llama-server's own lines were JSON then, the library's were not."""
    report = read(
        '{"tid":"1","level":"INFO","function":"main","msg":"build info","build":2619,"commit":"557410b8"}',
        "llm_load_tensors:      CUDA0 buffer size =   100.00 MiB",
    )

    assert report.build is not None
    assert (2619, 1) == (report.build.number, len(report.loads))


def test_llama_bench_rows_are_speeds() -> None:
    """Markdown and JSON lines alike."""
    report = read(
        "| glm 30B Q8_0 | 29.6 GiB | 30 B | CUDA | 99 | pp512 | 2000.00 ± 1.00 |",
        '{"build_commit": "b48e80f67", "n_prompt": 0, "n_gen": 128, "n_depth": 0, "avg_ts": 100.0}',
    )

    assert [("prompt", 512, 2000.0), ("decode", 128, 100.0)] == [(t.phase, t.tokens, t.rate) for t in report.timings]


def test_wrapped_numbers_are_unknown() -> None:
    """Some drivers report less than nothing free; 64-bit garbage is no size."""
    report = read(
        "load_tensors: CUDA0 model buffer size = 1.00 MiB",
        "x: | memory breakdown [MiB] | total free self model context compute unaccounted |",
        "x: |   - CUDA0 (RTX) | 24576 = 17592186044000 + ( 3 =  1 +  1 +  1) +  17592186020000 |",
    )

    assert report.load is not None
    assert [(None, None)] == [(row.free, row.unaccounted) for row in report.load.breakdown]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_powershell_s_utf_16_is_read(encoding: str) -> None:
    """A redirect in Windows PowerShell writes UTF-16 with a mark."""
    text = "\ufeffllm_load_tensors:      CUDA0 buffer size =   100.00 MiB\r\n" * 3

    report = parse_stream(io.BytesIO(text.encode(encoding)), source="")

    assert report.loads[0].sizes(BufferKind.MODEL) == {"CUDA0": 300 * MIB}


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """``-`` in place of a file."""
    stream = io.TextIOWrapper(io.BytesIO(b"load_tensors: offloaded 3/3 layers to GPU\n"))
    monkeypatch.setattr("sys.stdin", stream)

    assert read_log("-").load is not None
