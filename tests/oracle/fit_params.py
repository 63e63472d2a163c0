"""llama-fit-params with simulated GPUs: our devices and parameters, and llama.cpp's own ``common_fit_print``.

The GPUs are those of the oracle's machine that the environment variable ``MACHINE`` names. Its lines on standard output
are printed by the same function of llama.cpp as the real program's ``-fitp on``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from omniplan.certify import library
from omniplan.certify.devices import SimulatedBackend
from omniplan.certify.job import Job
from omniplan.certify.parameters import Structs
from omniplan.llamacpp.flags.args import parse
from tests.contracts.sources import ROOT
from tests.oracle import cases

PROGRAM: Final = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.oracle.fit_params import main
main(sys.argv[1:])
"""
# What llama-server has no word for: two flags of the tool, and one that the stand-in obeys anyway.
_OWN: Final = {"-fitp": 2, "-m": 2}
_PRINT: Final = "_Z16common_fit_printPKcP18llama_model_paramsP20llama_context_params"


def install(folder: Path) -> Path:
    """The program as a file that can be run."""
    path = folder / "llama-fit-params"
    path.write_text(PROGRAM, encoding="utf-8")
    path.chmod(0o755)
    return path


def main(argv: list[str]) -> None:
    """Print the estimate of ``argv`` and leave without teardown."""
    path = argv[argv.index("-m") + 1]
    args = tuple(_server_args(argv))
    ffi, lib = library.load()
    ffi.cdef(f"void {_PRINT}(const char *, struct llama_model_params *, struct llama_context_params *);")
    ffi.cdef("int fflush(void *);")
    machine = cases.machines()[os.environ["MACHINE"]]
    job = Job.of(lambda _: path, cases.model(Path(path).name), machine, args, {})
    lib.llama_backend_init()
    structs = Structs(ffi, lib, SimulatedBackend(ffi, lib, job.gpus))
    model = ffi.new("struct llama_model_params *", structs.model(parse(args)))
    context = ffi.new("struct llama_context_params *", structs.context(parse(args), job.main, ffi.NULL))
    context.n_outputs_max = 0  # common.cpp leaves it to llama.cpp, which takes the whole batch.
    getattr(lib, _PRINT)(path.encode(), model, context)
    ffi.dlopen(None).fflush(ffi.NULL)
    os._exit(0)


def _server_args(argv: list[str]) -> list[str]:
    kept: list[str] = []
    skip = 0
    for word in argv:
        skip = _OWN.get(word, skip)
        if not skip:
            kept.append(word)
        skip = max(skip - 1, 0)
    return kept
