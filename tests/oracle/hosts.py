"""Cases of ``--rpc``: what llama.cpp counts over real rpc-servers on loopback, alone and beside simulated GPUs.

``python -m tests.oracle.hosts LIBRARY`` has them counted by a wheel that comes with RPC, or by a folder with its
libraries, and writes ``tests/data/oracle/hosts.jsonl``. One server offers its CPU once, the other twice.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from omniplan.certify.library import Library
from omniplan.certify.measure import Refused
from omniplan.certify.simulate import simulate
from omniplan.certify.values import Tally, compare
from omniplan.certify.wheel import find
from omniplan.domain.machine import Machine
from omniplan.llamacpp.build import known
from omniplan.machines.files import machine_toml, parse_machine
from tests.oracle import cases, drift
from tests.oracle.cases import DATA, Case
from tests.rpc_server import servers

# How many devices each server offers, by the address that stands for it in the cases.
OFFERED: Final = {"one:50052": 1, "two:50052": 2}
_BOTH: Final = "--rpc one:50052,two:50052"
# Orders of servers and devices, shares, caches and experts in RAM or on one device, GPUs of this host in between.
_KINDS: Final = (
    ("hosts-alone", f"-c 4096 -np 1 -ngl 99 {_BOTH}"),
    ("hosts-alone", "-c 8192 -np 2 -kvu -ngl 99 --rpc two:50052,one:50052 -ts 3,1,2"),
    ("hosts-alone", "-c 4096 -np 4 -ngl 99 --rpc two:50052 -nkvo"),
    ("hosts-alone", "-c 4096 -np 1 -ngl 2 --rpc one:50052"),
    ("hosts-alone", f"-c 4096 -np 1 -ngl 99 {_BOTH} -dev RPC2,RPC0 -ctk q8_0 -ctv q8_0 -fa on"),
    ("hosts-alone", f"-c 4096 -np 1 -ngl 99 {_BOTH} -ot ffn=RPC1[two:50052]"),
    ("hosts-gpus", f"-c 4096 -np 1 -ngl 99 {_BOTH} -ts 1,1,1,2,1"),
    ("hosts-gpus", "-c 8192 -np 4 -ngl 99 --rpc one:50052 -ts 1,2,1 -ot ffn_down=CPU"),
    ("hosts-gpus", "-c 4096 -np 2 -ngl 99 --rpc two:50052 -dev CUDA1,RPC1 -ts 2,1"),
    ("hosts-gpus", f"-c 4096 -np 1 -ngl 2 {_BOTH} -ts 1,1,1,1,1 -ub 1024"),
)
# No GPU here pins RAM, so that the processor lays weights out anew.
_REPACKED: Final = (
    ("zoo/Qwen3-8B-Q4_K_M.gguf", "hosts-avx2", "-c 4096 -np 1 -ngl 10 --rpc one:50052"),
    ("zoo/Qwen3-8B-Q4_K_M.gguf", "hosts-avx2", f"-c 4096 -np 2 -ngl 99 {_BOTH} -ts 1,1,1 -ot ffn_down=CPU"),
    ("zoo/Qwen3-30B-A3B-Q4_K_M.gguf", "hosts-avx2", f"-c 4096 -np 1 -ngl 99 {_BOTH} -cmoe"),
    ("zoo/Qwen3-30B-A3B-Q4_K_M.gguf", "hosts-avx2", "-c 8192 -np 1 -ngl 99 --rpc two:50052 -ncmoe 20"),
    ("zoo/Mixtral-8x7B-Q4_K_M.gguf", "hosts-avx2", "-c 4096 -np 1 -ngl 12 --rpc two:50052,one:50052"),
    ("zoo/gemma-2-9b-Q4_K_M.gguf", "hosts-avx2", "-c 4096 -np 1 -ngl 99 --rpc one:50052 --no-repack -ot ffn=CPU"),
)
# Every third header is taken. This one has another prompt batch in later builds, which one GPU shows as well.
_STEP: Final = 3
_LEFT_OUT: Final = ("qwen4exp-moe",)


def every() -> Iterator[Case]:
    """The cases without their figures."""
    headers = sorted(path.stem for path in (DATA / "models" / "archs").glob("*.gguf"))[::_STEP]
    for i, name in enumerate(name for name in headers if name not in _LEFT_OUT):
        yield _case(f"archs/{name}.gguf", *_KINDS[i % len(_KINDS)])
    yield from (_case("zoo/Qwen3-0.6B-Q8_0.gguf", *kind) for kind in _KINDS)
    yield from (_case(*repacked) for repacked in _REPACKED)


def _case(model: str, machine: str, args: str) -> Case:
    return {"model": model, "machine": machine, "args": args.split()}


def moved(text: str, addresses: Mapping[str, str]) -> str:
    """``text`` with the addresses of the cases replaced."""
    for name, address in addresses.items():
        text = text.replace(name, address)
    return text


def machine_at(name: str, addresses: Mapping[str, str]) -> Machine:
    """A machine of the cases whose hosts are at ``addresses``."""
    return parse_machine(moved(machine_toml(cases.machines()[name]), addresses))


def ask(case: Case, library: Library, addresses: Mapping[str, str], *, timeout: float = 120) -> drift.Outcome:
    """Have one case counted by servers at ``addresses``, which stand for the case's own."""

    args = tuple(moved(word, addresses) for word in case["args"])
    machine, no_alloc = machine_at(case["machine"], addresses), cases.is_measured(case)
    try:
        counted = simulate(
            cases.model(case["model"]),
            machine,
            args,
            env={},
            timeout=timeout,
            no_alloc=no_alloc,
            library=library,
            repack=machine.cpu is not None,
        )
    except Refused as error:
        return drift.Outcome(case, theirs=str(error))
    planned = Tally.of(cases.price(case, build=known(library.build).number))
    return drift.Outcome(case, compare(planned, counted), counted)


def main() -> int:
    """Count every case and write the figures; 1 when ours differ."""
    with tempfile.TemporaryDirectory() as folder:
        library = find(sys.argv[1], Path(folder))
        with servers(Path(library.path).parent, tuple(OFFERED.values())) as found:
            addresses = dict(zip(OFFERED, found, strict=True))
            outcomes = [ask(case, library, addresses) for case in every()]
    text = "".join(json.dumps(drift.row(outcome), separators=(",", ":")) + "\n" for outcome in outcomes)
    (DATA / "oracle" / "hosts.jsonl").write_text(text, encoding="utf-8")
    return int(not drift.report(outcomes))


if __name__ == "__main__":
    sys.exit(main())
