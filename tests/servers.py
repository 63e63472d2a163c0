"""A small HTTP server in a thread that answers as it is told: well, late, in pieces, wrong, or not at all."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Handler = BaseHTTPRequestHandler
Answering = Callable[[Handler, Mapping[str, Any]], None]

USAGE = {"prompt_tokens": 40, "completion_tokens": 4}
TIMINGS = {"prompt_n": 40, "prompt_per_second": 100.0, "predicted_n": 4, "predicted_per_second": 10.0, "cache_n": 0}


@dataclass(slots=True)
class Served:
    """A running server: its URL, and the path and body of every request to it."""

    url: str
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def bodies(self, path: str) -> list[Mapping[str, Any]]:
        """Bodies of the requests to ``path``."""
        return [body for asked, body in self.asked if asked == path]


@contextmanager
def serving(answers: Mapping[str, Answering]) -> Iterator[Served]:
    """Answer each path as ``answers`` says, and 404 what is not among them."""
    served = Served("")

    class Own(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            served.asked.append((self.path, body))
            try:
                answers.get(self.path, status(404))(self, body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_GET = do_POST = _answer

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: Handler, data: bytes, *, code: int = 200, kind: str = "application/json") -> None:
    handler.send_response(code)
    handler.send_header("Content-Type", kind)
    handler.end_headers()
    handler.wfile.write(data)
    handler.wfile.flush()


def status(code: int, text: str = "{}") -> Answering:
    return lambda handler, _body: send(handler, text.encode(), code=code)


def whole(**more: object) -> Answering:
    """A completion in one piece, whether or not a stream was asked for."""
    event = {"choices": [{"text": "four words of text", "finish_reason": "length"}], "usage": USAGE, **more}
    return lambda handler, _body: send(handler, json.dumps(event).encode())


def raw(data: bytes, kind: str = "application/json") -> Answering:
    return lambda handler, _body: send(handler, data, kind=kind)


def streamed(*, pause: float = 0.0, finish: bool = True, **more: object) -> Answering:
    """A completion in pieces where a stream is asked for, in one where not."""

    def answer(handler: Handler, body: Mapping[str, Any]) -> None:
        if not body.get("stream"):
            return whole(**more)(handler, body)
        send(handler, b": ping\n\n", kind="text/event-stream")
        for text in ("one ", "two ", "three ", "four"):
            time.sleep(pause)
            _event(handler, {"choices": [{"text": text, "finish_reason": None}]})
        if finish:
            _event(handler, {"choices": [{"text": "", "finish_reason": "length"}], "usage": USAGE, **more})
            handler.wfile.write(b"data: [DONE]\n\n")
        return None

    return answer


def _event(handler: Handler, event: Mapping[str, object]) -> None:
    handler.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
    handler.wfile.flush()


def in_turn(*answers: Answering) -> Answering:
    """One after the other, the last one again and again."""
    left = list(answers)

    def answer(handler: Handler, body: Mapping[str, Any]) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler, body)

    return answer


def dripping(handler: Handler, _body: Mapping[str, Any]) -> None:
    """A byte every few hundredths of a second, without end."""
    send(handler, b"", kind="text/event-stream")
    while True:
        handler.wfile.write(b":\n")
        handler.wfile.flush()
        time.sleep(0.02)


def hanging_up(handler: Handler, _body: Mapping[str, Any]) -> None:
    """Close the connection without a word."""
    handler.close_connection = True
