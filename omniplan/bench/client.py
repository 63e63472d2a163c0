"""A synchronous client of an OpenAI-compatible server: bounded in time, in size and in retries."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from omniplan.bench.answers import Answer, BadAnswer, parse_stream, parse_whole, read_answer
from omniplan.errors import InputError, needs

if TYPE_CHECKING:
    import httpx

# An answer of some thousand tokens takes a few MiB at most.
_LARGEST: Final = 16 << 20
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_ABSENT: Final = frozenset({404, 405, 501})
_PAUSE: Final = 0.2
# Seconds for what a server answers without running its model.
_PATIENCE: Final = 10.0
_CONNECT: Final = 5.0


class RequestFailed(Exception):
    """One attempt that gave no answer; the text says why."""

    def __init__(self, reason: str, *, may_retry: bool = True, status: int = 0) -> None:
        super().__init__(reason)
        self.may_retry = may_retry
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt, the model it is for ("" for the only one) and how many tokens to answer with."""

    prompt: str
    n_gen: int
    streaming: bool
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of a question: attempts made, why those failed that did, and the answer if there is one."""

    attempts: int
    errors: tuple[str, ...]
    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server says of itself.

    ``models`` are the ids it lists, ``aliases`` further names of them; both are empty when it does not say. ``n_ctx``
    is the context of one slot in tokens, None when it does not say.
    """

    models: tuple[str, ...]
    aliases: tuple[str, ...]
    build: str
    n_ctx: int | None
    is_llama_server: bool

    def serves(self, model: str) -> bool:
        """Whether the server lists ``model``, or lists nothing at all."""
        return not self.models or model in self.models or model in self.aliases


def server_url(text: str) -> str:
    """The base of a server's URLs, ``/v1`` taken off; raises InputError for what is no HTTP URL."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url:
        raise InputError(f"{text[:80]}: not a server's URL; write it as http://127.0.0.1:8080")
    return url.rstrip("/").removesuffix("/v1")


def is_loopback(url: str) -> bool:
    """Whether the server runs on this host, as far as its address says."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Client:
    """Talks to one server; proxies of the environment are passed by for one on this host.

    ``timeout`` is the seconds one attempt may take as a whole, ``retries`` how often a request is made again. Time-outs
    and refusals of the request itself are final. Use as a context manager.
    """

    def __init__(self, url: str, *, timeout: float, retries: int, api_key: str = "") -> None:
        try:
            import httpx
        except ImportError as error:
            raise InputError(f"bench: {needs('httpx', 'bench')}") from error
        self.url = server_url(url)
        self._httpx = httpx
        self._timeout = timeout
        self._retries = retries
        self._is_chat = False
        self._is_llama_server = False
        self._http = httpx.Client(
            trust_env=not is_loopback(self.url),
            # Plain HTTP needs no certificates, and loading them takes longer than a request.
            verify=self.url.startswith("https:"),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def state(self) -> str:
        """Whether it is "ready" or "loading", or why nothing answers; servers without ``/health`` count as ready."""
        try:
            status, _ = self._call("GET", "/health")
        except RequestFailed as failed:
            return str(failed)
        return "loading" if status == 503 else "ready"

    def facts(self) -> ServerFacts:
        """What the server says of itself; every endpoint but HTTP itself may be missing."""
        models = self._object("GET", "/v1/models").get("data")
        props = self._object("GET", "/props")
        settings = props.get("default_generation_settings")
        n_ctx = settings.get("n_ctx") if isinstance(settings, dict) else None
        self._is_llama_server = bool(props)
        listed = [row for row in _items(models) if isinstance(row, dict)]
        return ServerFacts(
            models=tuple(str(row["id"]) for row in listed if "id" in row),
            aliases=tuple(str(name) for row in listed for name in _items(row.get("aliases"))),
            build=str(props.get("build_info") or ""),
            n_ctx=n_ctx if isinstance(n_ctx, int) and n_ctx > 0 else None,
            is_llama_server=self._is_llama_server,
        )

    def count_tokens(self, text: str, model: str = "") -> int | None:
        """Tokens of ``text`` by llama-server's own tokenizer; None where it does not offer it."""
        body = {"content": text, "add_special": True, **({"model": model} if model else {})}
        tokens = self._object("POST", "/tokenize", body).get("tokens") if self._is_llama_server else None
        return len(tokens) if isinstance(tokens, list) else None

    def ask(self, question: Question) -> Reply:
        """Ask until there is an answer, the retries are used up, or a failure is final."""
        errors: list[str] = []
        while True:
            try:
                answer = self._attempt(question)
            except RequestFailed as failed:
                if failed.status in _ABSENT and not self._is_chat:
                    # A server without plain completions; finding that out is no failed attempt.
                    self._is_chat = True
                    continue
                errors.append(str(failed))
                if not failed.may_retry or len(errors) > self._retries:
                    return Reply(attempts=len(errors), errors=tuple(errors), answer=None)
                time.sleep(_PAUSE * 2 ** (len(errors) - 1))
            else:
                return Reply(attempts=len(errors) + 1, errors=tuple(errors), answer=answer)

    def _attempt(self, question: Question) -> Answer:
        start = time.perf_counter()
        path = "/v1/chat/completions" if self._is_chat else "/v1/completions"
        with self._sent("POST", path, self._body(question), self._timeout) as response:
            chunks = self._chunks(response, start, self._timeout)
            if response.status_code != 200:
                raise _refused(response.status_code, b"".join(data for _, data in chunks))
            streamed = "text/event-stream" in response.headers.get("content-type", "")
            events = parse_stream(_lines(chunks)) if streamed else _single(chunks)
            try:
                return read_answer(events, streaming=streamed, clock=lambda: time.perf_counter() - start)
            except BadAnswer as error:
                raise RequestFailed(str(error)) from error

    def _body(self, question: Question) -> dict[str, Any]:
        body: dict[str, Any] = {"max_tokens": question.n_gen, "temperature": 0, "stream": question.streaming}
        body |= {"messages": [{"role": "user", "content": question.prompt}]} if self._is_chat else {}
        body |= {} if self._is_chat else {"prompt": question.prompt}
        body |= {"model": question.model} if question.model else {}
        body |= {"stream_options": {"include_usage": True}} if question.streaming else {}
        return body | ({"cache_prompt": False, "ignore_eos": True} if self._is_llama_server else {})

    def _object(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The object an endpoint gives; empty where it gives none."""
        try:
            status, data = self._call(method, path, body)
            return parse_whole(data) if status == 200 else {}
        except (RequestFailed, BadAnswer):
            return {}

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        start = time.perf_counter()
        limit = min(self._timeout, _PATIENCE)
        with self._sent(method, path, body, limit) as response:
            return response.status_code, b"".join(data for _, data in self._chunks(response, start, limit))

    @contextmanager
    def _sent(self, method: str, path: str, body: Mapping[str, Any] | None, limit: float) -> Iterator[httpx.Response]:
        """A request whose answer is being read; whatever goes wrong below HTTP becomes a ``RequestFailed``."""
        try:
            timeout = self._httpx.Timeout(limit, connect=min(limit, _CONNECT))
            with self._http.stream(method, f"{self.url}{path}", json=body, timeout=timeout) as response:
                yield response
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            name, text = type(error).__name__, str(error)
            is_late = isinstance(error, self._httpx.TimeoutException)
            raise RequestFailed(f"{name}: {text}" if text else name, may_retry=not is_late) from error

    @staticmethod
    def _chunks(response: httpx.Response, start: float, limit: float) -> Iterator[tuple[float, bytes]]:
        """Pieces of the body with the seconds at which they came, bounded in time and size as a whole."""
        size = 0
        for data in response.iter_bytes():
            at = time.perf_counter() - start
            size += len(data)
            if at > limit:
                raise RequestFailed(f"no complete answer within {limit:g} s", may_retry=False)
            if size > _LARGEST:
                raise RequestFailed(f"the answer is larger than {_LARGEST >> 20} MiB", may_retry=False)
            yield at, data


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _refused(status: int, body: bytes) -> RequestFailed:
    text = body[:200].decode("utf-8", "replace").strip()
    return RequestFailed(f"HTTP {status}: {text}", may_retry=status in _AGAIN, status=status)


def _single(chunks: Iterator[tuple[float, bytes]]) -> Iterator[tuple[float, Mapping[str, Any]]]:
    pieces = list(chunks)
    yield (pieces[-1][0] if pieces else 0.0), parse_whole(b"".join(data for _, data in pieces))


def _lines(chunks: Iterator[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    rest, at = b"", 0.0
    for at, data in chunks:
        *whole, rest = (rest + data).split(b"\n")
        yield from ((at, line) for line in whole)
    yield at, rest
