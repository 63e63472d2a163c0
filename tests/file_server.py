"""An HTTP server in a thread that serves one file as real ones do, or as bad ones do."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE = 65_536


@dataclass(slots=True, kw_only=True)
class Site:
    """Files by path and how they are served; ``asked`` are the headers of every request, ``sent`` the bytes of bodies.

    A file is ``size`` bytes long, or as many as ``sizes`` says of its path, zeros after its own. ``cut`` ends each
    answer after so many bytes of its body, ``drip`` waits so many seconds before each byte of its head; ``moved`` are
    redirects by path, and what begins with ``refused`` wants a login.
    """

    files: dict[str, bytes]
    url: str = ""
    size: int | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    tag: str = '"one"'
    modified: str = ""
    has_ranges: bool = True
    has_length: bool = True
    cut: int | None = None
    drip: float = 0.0
    status: int = 0
    refused: str = ""
    content_range: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent: int = 0


class _Answers(BaseHTTPRequestHandler):
    site: Site

    def setup(self) -> None:
        super().setup()
        # What is sent is then what left this host, and not what waits here.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE)

    def do_GET(self) -> None:
        site = self.site
        path = self.path.partition("?")[0]
        site.asked.append((path, dict(self.headers.items())))
        if site.tags:
            site.tag = site.tags.pop(0)
        try:
            self._answer(site, path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, site: Site, path: str) -> None:
        if path in site.moved:
            self._head(302, {"Location": site.moved[path], "Content-Length": "0"})
        elif site.refused and path.startswith(site.refused):
            self._head(401, {"Content-Length": "0"})
        elif site.status or path not in site.files:
            self._head(site.status or 404, {"Content-Length": "0"})
        elif site.tag and self.headers.get("If-None-Match") == site.tag:
            self._head(304, {"ETag": site.tag})
        elif not site.tag and site.modified and self.headers.get("If-Modified-Since") == site.modified:
            self._head(304, {"Last-Modified": site.modified})
        else:
            self._file(site, site.files[path], site.sizes.get(path, site.size))

    def _file(self, site: Site, data: bytes, size: int | None) -> None:
        size = size or len(data)
        state = {"ETag": site.tag} if site.tag else {"Last-Modified": site.modified} if site.modified else {}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in {None, site.tag, site.modified}
        start, end, status = 0, size, 200
        if site.has_ranges and asked and same:
            start, end, status = int(asked[1]), min(int(asked[2]) + 1, size), 206
            state["Content-Range"] = site.content_range or f"bytes {start}-{end - 1}/{size}"
        length = {"Content-Length": str(end - start)} if site.has_length else {}
        self._head(status, {**state, **length, **site.headers})
        if site.cut is not None:
            end = min(end, start + site.cut)
        while start < end:
            piece = data[start : min(end, start + _PIECE)] or bytes(min(end - start, _PIECE))
            self.wfile.write(piece)
            site.sent += len(piece)
            start += len(piece)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" * bool(self.site.drip):
            self.wfile.write(bytes([byte]))
            time.sleep(self.site.drip)
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serving_files(site: Site) -> Iterator[Site]:
    """Serve ``site``, whose URL is then known."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Own", (_Answers,), {"site": site}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
