"""Real rpc-servers on loopback, each llama.cpp's own in a process: its CPU, offered once or several times.

``python -m tests.rpc_server FOLDER PORT COUNT`` is one of them; FOLDER holds the libraries of one build.
"""

from __future__ import annotations

import ctypes
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.contracts.sources import ROOT

_SECONDS: Final = 30.0
_CPU: Final = 0  # ggml-backend.h: GGML_BACKEND_DEVICE_TYPE_CPU


def serve(folder: Path, port: int, count: int) -> None:
    """Serve until the process ends (ggml-rpc.h: ggml_backend_rpc_start_server)."""
    base = ctypes.CDLL(str(folder / "libggml.so.0"), mode=ctypes.RTLD_GLOBAL)
    rpc = ctypes.CDLL(str(folder / "libggml-rpc.so.0"))
    base.ggml_backend_dev_by_type.restype = ctypes.c_void_p
    device = ctypes.c_void_p(base.ggml_backend_dev_by_type(_CPU))
    devices = (ctypes.c_void_p * count)(*[device] * count)
    threads, offered = ctypes.c_size_t(1), ctypes.c_size_t(count)
    rpc.ggml_backend_rpc_start_server(f"127.0.0.1:{port}".encode(), None, threads, offered, devices)


@contextmanager
def servers(folder: Path, counts: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """Addresses of running servers, one for each of ``counts``, which is how many devices it offers."""
    with ExitStack() as stack:
        ports = [stack.enter_context(_free_port()) for _ in counts]
        stack.close()
        for port, count in zip(ports, counts, strict=True):
            command = [sys.executable, "-m", "tests.rpc_server", str(folder), str(port), str(count)]
            quiet = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            process = stack.enter_context(quiet)
            stack.callback(process.kill)
            _wait_for(port, process)
        yield tuple(f"127.0.0.1:{port}" for port in ports)


@contextmanager
def _free_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens; a connection without a greeting is closed by the server."""
    ends = time.monotonic() + _SECONDS
    while time.monotonic() < ends and process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"no rpc-server on port {port}")


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
