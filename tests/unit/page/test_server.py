"""The server of the page gives its own files to GET and HEAD, and stands whatever is asked of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniplan.domain.defaults import LOOPBACK
from omniplan.errors import InputError
from omniplan.page import server as served
from omniplan.page.server import HEADERS, page_files, page_server

FILES = {
    "index.html": b"<!doctype html><title>page</title>",
    "assets/core.wasm": b"\0asm" * 300_000,
    "assets/page.js": b"export {};",
    "python.mjs": b"export {};",
}
TYPES = {"/": "text/html", "/assets/core.wasm": "application/wasm", "/assets/page.js": "text/javascript"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    (root / "secret.txt").write_text("secret")
    page = root / "page"
    for name, data in FILES.items():
        (page / name).parent.mkdir(parents=True, exist_ok=True)
        (page / name).write_bytes(data)
    return page


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with page_server(page_files(folder), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def send(port: int, data: bytes) -> bytes:
    """What comes back for raw bytes, nothing where the server only hangs up."""
    with socket.create_connection((LOOPBACK, port), timeout=10) as client:
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return client.recv(1 << 16)
        except OSError:
            return b""


@pytest.mark.parametrize("path", TYPES)
def test_files_of_the_page(port: int, path: str) -> None:
    """Each comes whole, with its type, and shut off from other pages; HEAD says the same without it."""
    response, data = ask(port, path)
    head, nothing = ask(port, path, "HEAD")

    assert response.status == head.status == 200
    assert data == FILES[path[1:] or "index.html"]
    assert nothing == b""
    for answer in (response, head):
        assert answer.getheader("Content-Type") == TYPES[path]
        assert answer.getheader("Content-Length") == str(len(data))
        assert {name: answer.getheader(name) for name in HEADERS} == HEADERS


def test_what_a_link_says_is_not_asked_of_the_server(port: int) -> None:
    """A question mark and what follows it choose no other file."""
    assert ask(port, "/?utm=1")[1] == FILES["index.html"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get"])
def test_other_methods_are_refused(port: int, method: str) -> None:
    """Nothing is taken, and a refusal is as shut off as an answer."""
    response, _ = ask(port, "/", method)

    assert response.status == 501
    assert response.getheader("Content-Security-Policy") == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "//etc/passwd",
        "/etc/passwd", "/..\\secret.txt", "/.%00/secret.txt", "/assets/", "/assets", "http://example.org/secret.txt",
    ],
)  # fmt: skip
def test_no_other_file_is_served(port: int, path: str) -> None:
    """What is no file of the page is not there, however it is written."""
    answer = send(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert answer.split(b" ", 2)[1] == b"404"
    assert b"secret\n" not in answer


@given(data=st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_bytes_leave_it_answering(port: int, data: bytes) -> None:
    """Whatever is sent, the next request is answered."""
    send(port, data)

    assert ask(port, "/", "HEAD")[0].status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n" + bytes(4_000_000),
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n" + bytes(1_000_000),
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n",
    ],
    ids=["long path", "many headers", "long header", "huge body", "huge chunk", "another HTTP", "nothing"],
)
def test_what_is_too_much_leaves_it_answering(port: int, data: bytes) -> None:
    """Long lines, many headers and huge bodies cost nobody else an answer."""
    send(port, data)

    assert ask(port, "/", "HEAD")[0].status == 200


def test_two_hundred_clients(port: int) -> None:
    """All of them are answered while as many others say nothing."""
    silent = [socket.create_connection((LOOPBACK, port), timeout=10) for _ in range(200)]
    try:
        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(lambda _: ask(port, "/assets/core.wasm")[1], range(200)))
    finally:
        for client in silent:
            client.close()

    assert found == [FILES["assets/core.wasm"]] * 200


def test_who_drips_is_hung_up_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a byte now and then has no longer than one that sends none."""
    monkeypatch.setattr(served, "_PATIENCE", 0.2)
    with page_server(page_files(folder), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with socket.create_connection((LOOPBACK, server.server_address[1]), timeout=10) as client:
            ended = threading.Event()
            threading.Thread(target=drip, args=(client, ended)).start()
            assert client.recv(1) == b""
            ended.set()
        server.shutdown()
        thread.join()


def drip(client: socket.socket, ended: threading.Event) -> None:
    """A header that never ends, a byte at a time."""
    while not ended.wait(0.02):
        try:
            client.sendall(b"G")
        except OSError:
            return


def test_it_listens_on_this_host_alone(port: int) -> None:
    """The address is the loopback's."""
    assert LOOPBACK == "127.0.0.1"
    with pytest.raises(InputError, match="cannot be listened on"):
        page_server({}, port)


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_there_is_not(port: int) -> None:
    """Is said to be none."""
    with pytest.raises(InputError, match="expected a port from 0 to 65535"):
        page_server({}, port)


def test_a_page_that_is_not_built(tmp_path: Path) -> None:
    """One line says what to do."""
    with pytest.raises(InputError, match="run `make web`"):
        page_files(tmp_path)
