"""llama.cpp's own server out of the xllamacpp wheel, started as ``python -m tests.real.server -m MODEL --port N ...``.

Takes the few of llama-server's arguments that a plan for a CPU has, and logs as llama-server does with ``-lv 4``, which
prints every buffer. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-m", dest="model", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("-c", dest="n_ctx", type=int, default=0)
    parser.add_argument("-np", dest="n_parallel", type=int, default=1)
    parser.add_argument("-b", dest="n_batch", type=int, default=2048)
    parser.add_argument("-ub", dest="n_ubatch", type=int, default=512)
    parser.add_argument("-a", dest="aliases", default="")
    parser.add_argument("-ngl", dest="n_gpu_layers", type=int, default=0)
    parser.add_argument("-cram", dest="cache_ram_mib", type=int, default=0)
    for name in ("-t", "-tb", "--load-mode"):
        parser.add_argument(name, dest=f"ignored{name.replace('-', '_')}")
    parser.add_argument("--no-op-offload", action="store_true")
    parser.add_argument("--fit", choices=["off"], default="off")
    serve(parser.parse_args())


def serve(options: argparse.Namespace) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.port = options.port
    params.model_alias = set(filter(None, options.aliases.split(",")))
    for name in ("n_ctx", "n_parallel", "n_batch", "n_ubatch", "n_gpu_layers", "cache_ram_mib"):
        setattr(params, name, getattr(options, name))
    # Two threads wait for each other by spinning, which costs seconds where other tests share the cores.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.fit_params = False
    params.verbosity = 4
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: done.set())
    server = xllamacpp.Server(params)
    done.wait()
    del server


if __name__ == "__main__":
    main()
    sys.exit(0)
