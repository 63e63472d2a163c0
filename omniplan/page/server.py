"""Serves the built page to this host: its own files from memory, to GET and HEAD, and nothing else."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR
from threading import Timer
from typing import Final

from omniplan.domain.defaults import LOOPBACK
from omniplan.errors import InputError
from omniplan.version import __version__

_FOLDER: Final = Path(__file__).resolve().parent.parent / "web" / "page"
_INDEX: Final = "index.html"
# Seconds in which a client has said what it wants and taken it; the largest file is 10 MB.
_PATIENCE: Final = 30.0
# What browsers insist on and some systems' tables do not have.
_TYPES: Final = {
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".whl": "application/zip",
}
# Isolated from other pages, so that a search may be interrupted through memory that a worker shares. Headers of models
# may lie anywhere; scripts are the page's own, and WebAssembly of it.
HEADERS: Final[Mapping[str, str]] = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; manifest-src 'self'; "
    "connect-src 'self' https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page: its bytes and its type."""

    data: bytes
    type: str


def page_files(folder: Path = _FOLDER) -> Mapping[str, PageFile]:
    """The built page by path; raises InputError where it is not built."""
    if not (folder / _INDEX).is_file():
        raise InputError("the page is not in this installation; run `make web` in a checkout, or install a release")
    files = {f"/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()}
    found = {name: PageFile(path.read_bytes(), _type(path)) for name, path in files.items()}
    return {**found, "/": found[f"/{_INDEX}"]}


def page_server(files: Mapping[str, PageFile], port: int) -> ThreadingHTTPServer:
    """A server of ``files`` on this host alone, at ``port`` 0 for any free one; raises InputError for one in use."""
    try:
        server = _Server((LOOPBACK, port), type("_Own", (_Answers,), {"files": files}))
    except OSError as error:
        raise InputError(f"cannot be listened on: {error.strerror}", field="port", value=port) from error
    except OverflowError as error:
        raise InputError("expected a port from 0 to 65535", field="port", value=port) from error
    return server


def _type(path: Path) -> str:
    return _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error."""


class _Answers(BaseHTTPRequestHandler):
    files: Mapping[str, PageFile]
    server_version = f"omniplan/{__version__}"
    sys_version = ""
    timeout = _PATIENCE

    def handle(self) -> None:
        """One request, for as long as anybody has patience: a timeout of the socket begins anew with every byte."""
        timer = Timer(_PATIENCE, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            self.handle_one_request()
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(SHUT_RDWR)

    def do_GET(self) -> None:
        """A file of the page."""
        if file := self._found():
            self.wfile.write(file.data)

    def do_HEAD(self) -> None:
        """What GET would say of it."""
        self._found()

    def _found(self) -> PageFile | None:
        """The file that is asked for, once its head is sent."""
        file = self.files.get(self.path.partition("?")[0])
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", file.type)
        self.send_header("Content-Length", str(len(file.data)))
        self.end_headers()
        return file

    def end_headers(self) -> None:
        """Every answer, also a refusal, is as shut off."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nobody reads it."""
