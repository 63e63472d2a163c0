"""The graph that a library builds for a model, node by node, beside ours: what another build changed shows here.

``python -m tests.oracle.graphs LIBRARY MODEL [MODEL ...] [--llama-cpp BUILD] [--record]`` prints the first difference
of each model and variant, and with ``--record`` writes the library's graphs down. No GPU takes part, so they are whole.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import omniplan
from omniplan.certify import library
from omniplan.certify.devices import SimulatedBackend
from omniplan.certify.job import Job
from omniplan.certify.measure import listening, start
from omniplan.certify.parameters import Structs
from omniplan.certify.sparse import complete_file
from omniplan.certify.tensors import Tensors
from omniplan.certify.wheel import find
from omniplan.domain.model import Model
from omniplan.gguf.model.architectures import row
from omniplan.llamacpp.build import build_number, known
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.graph import families
from omniplan.llamacpp.graph.graph import Batch
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.load.context import Context, resolve
from tests.contracts.sources import ROOT
from tests.oracle import cases
from tests.oracle.cases import DATA

_ARGS: Final = ("-c", "4096", "-np", "1", "-ub", "496", "-ngl", "0")
VARIANTS: Final = {
    f"{phase} -fa {flash}": ((*_ARGS, "-fa", flash), phase == "decode")
    for phase in ("prefill", "decode")
    for flash in ("on", "off")
}
_RESERVE: Final = "llama_graph_reserve"
_SYMBOL: Final = "_Z19llama_graph_reserveP13llama_contextjjj"
_MACHINE: Final = omniplan.Machine.from_dict({"name": "none", "gpus": []})
_AROUND: Final = 3


def ours(model: Model, args: Sequence[str], build: int, *, decode: bool = False) -> list[str]:
    """Our graph as lines."""
    context = _context(model, args, build)
    graph = families.build(model, context, _batch(context, decode=decode))
    return list(lines(graph.nodes))


def theirs(asked: library.Library, model: Model, args: Sequence[str], *, decode: bool = False) -> list[str]:
    """The graph of a library as lines; raises CalledProcessError where it refuses the model."""
    batch = _batch(_context(model, args, known(asked.build).number), decode=decode)
    with TemporaryDirectory(prefix="omniplan-") as folder:
        job = Job.of(
            lambda header: str(complete_file(header, Path(folder))), model, _MACHINE, tuple(args), {}, library=asked
        )
        done = subprocess.run(
            [sys.executable, "-m", "tests.oracle.graphs", "--one"],
            input=json.dumps([job.to_json(), batch.n_tokens, batch.n_seqs, batch.n_outputs]),
            capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given")
    return list(json.loads(done.stdout))


def _context(model: Model, args: Sequence[str], build: int) -> Context:
    wanted = "off" not in args and row(model.arch).flash_attention
    return resolve(model, parse(args, build=build), flash_attn=wanted)


def _batch(context: Context, *, decode: bool) -> Batch:
    return Batch.decode(context) if decode else Batch.prefill(context)


def lines(nodes: Sequence[Node]) -> Iterator[str]:
    """Operation, type, shape, strides and offset of each node, with its sources: a node's number, a leaf's shape."""
    index: dict[Node, int] = {node: i for i, node in enumerate(nodes)}
    for node in nodes:
        sources = [f"{index[src]}" if src in index else f"{src.type} {_shape(src)}" for src in node.src]
        strides = ",".join(map(str, node.nb))
        op = node.op.removesuffix(":F32")
        yield f"{op} {node.type} {_shape(node)} nb {strides} +{node.offset} <- {'; '.join(sources)}"


def _shape(node: Node) -> str:
    return "x".join(map(str, node.ne))


def difference(mine: Sequence[str], counted: Sequence[str]) -> str:
    """The first line that differs with those around it, empty for equal graphs."""
    if list(mine) == list(counted):
        return ""
    at = next((i for i, pair in enumerate(zip(mine, counted, strict=False)) if pair[0] != pair[1]), -1)
    at = min(len(mine), len(counted)) if at < 0 else at
    shown = [f"{len(mine)} nodes, the library {len(counted)}; first difference at {at}"]
    for name, rows in (("ours", mine), ("theirs", counted)):
        window = range(max(at - _AROUND, 0), min(at + 2 * _AROUND, len(rows)))
        shown += [f"  {'>' if i == at else ' '} {name:6} {i:4} {rows[i]}" for i in window]
    return "\n".join(shown)


def _one() -> None:
    """The graph of the job on standard input, in this process."""
    text, n_tokens, n_seqs, n_outputs = json.load(sys.stdin)
    job = Job.from_json(text)
    ffi, lib = library.load(job.library)
    ffi.cdef(f"graph_t {_RESERVE}(void *, uint32_t, uint32_t, uint32_t);", override=True)
    ffi.cdef(f"graph_t {_SYMBOL}(void *, uint32_t, uint32_t, uint32_t);", override=True)
    with listening(ffi, lib) as log:
        lib.llama_backend_init()
        structs = Structs(ffi, lib, SimulatedBackend(ffi, lib, job.gpus, build=job.build))
        started = start(structs, job.main, log, no_alloc=True)
    graph = getattr(lib, _SYMBOL)(started.context, n_tokens, n_seqs, n_outputs)
    tensors, seen = Tensors(ffi, lib), dict[int, Node]()
    addresses = [tensors.address(graph.nodes[i]) for i in range(graph.n_nodes)]
    nodes = [tensors.leaf(address, seen) for address in addresses]
    for node, address in zip(nodes, addresses, strict=True):
        node.src = tensors.sources_of(address, seen)
    print(json.dumps(list(lines(nodes))))
    sys.stdout.flush()
    os._exit(0)


def recorded(build: int) -> Path:
    """The file of graphs that the library of ``build`` was asked for."""
    return DATA / "oracle" / f"graphs_b{build}.json.gz"


def load(build: int) -> dict[str, list[str]]:
    """Recorded graphs by model and variant."""
    path = recorded(build)
    return dict(json.loads(gzip.decompress(path.read_bytes()))) if path.exists() else {}


def compare(key: str, build: int, counted: Sequence[str]) -> str:
    """The first difference of our graph of a model and variant and the library's, empty for none."""
    model, variant = key.split(" ", 1)
    args, decode = VARIANTS[variant]
    return difference(ours(cases.model(model), args, build, decode=decode), counted)


def main() -> int:
    """Print the first difference of the graphs of models; 1 when there is one."""
    if sys.argv[1:] == ["--one"]:
        _one()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("library")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--llama-cpp", type=build_number, metavar="BUILD", help="ours is that of this one")
    parser.add_argument("--record", action="store_true", help="write the library's graphs under tests/data/oracle")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="omniplan-") as folder:
        asked = find(options.library, Path(folder))
        counted = {
            f"{model} {variant}": theirs(asked, cases.model(model), args, decode=decode)
            for model in options.models
            for variant, (args, decode) in VARIANTS.items()
        }
    number = options.llama_cpp or known(asked.build).number
    found = {key: compare(key, number, graph) for key, graph in counted.items()}
    for key, text in found.items():
        print(f"{key}: {text or f'{len(counted[key])} nodes, all equal'}")
    if options.record:
        content = json.dumps({**load(asked.build), **counted}).encode()
        recorded(asked.build).write_bytes(gzip.compress(content, mtime=0))
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
