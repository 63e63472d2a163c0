"""One HTTP request of a URL: who is asked, which redirects are followed, and how long is waited."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, SO_RCVBUF, SOL_SOCKET
from types import TracebackType
from typing import Final, Self
from urllib.parse import SplitResult, urljoin, urlsplit

from omniplan.errors import HeaderError
from omniplan.units import KIB
from omniplan.version import __version__

# A hub and its two stores need two.
MAX_REDIRECTS: Final = 5
_MOVED: Final = (301, 302, 303, 307, 308)
_PIECE: Final = 64 * KIB
# What a connection holds of an answer that is not read on; it bounds the rate too, to 2.5 MB/s at 100 ms to the server.
_UNREAD: Final = 256 * KIB


class Response:
    """A server's answer whose body is read in pieces; closes as a context."""

    def __init__(self, url: str, response: http.client.HTTPResponse, deadline: float) -> None:
        self.status = response.status
        self._url = url
        self._response = response
        self._deadline = deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def validator(self) -> str:
        """What tells this state of the file from another: its ETag, else when it was modified, else ""."""
        tag = self.header("ETag")
        return tag if tag.endswith('"') else self.header("Last-Modified")

    def header(self, name: str) -> str:
        """A header of the answer, "" without it."""
        return (self._response.headers.get(name) or "").strip()

    def read(self, size: int) -> bytes:
        """The next bytes of the body, at most ``size``; none at its end, and where it is cut."""
        _in_time(self._url, self._deadline)
        with _one_line(self._url):
            try:
                return self._response.read1(min(size, _PIECE))
            except (http.client.IncompleteRead, ConnectionResetError):
                return b""

    def close(self) -> None:
        """Hang up, whatever the server still wants to send."""
        self._response.close()


def ask(url: str, headers: Mapping[str, str], *, silence: float, deadline: float) -> Response:
    """The answer for ``url``, over redirects.

    ``silence`` is the seconds without a byte after which a server is given up, ``deadline`` the moment of
    ``time.monotonic`` at which everything is. An ``Authorization`` goes to the host of ``url`` alone. Raises
    ``HeaderError``.
    """
    headers = {"User-Agent": f"omniplan/{__version__}", "Accept-Encoding": "identity"} | dict(headers)
    here = url
    for _ in range(MAX_REDIRECTS + 1):
        parts = _checked(url, here)
        if _origin(parts) != _origin(urlsplit(url)):
            headers.pop("Authorization", None)
        response = _open(url, here, headers, silence=silence, deadline=deadline)
        target = response.headers.get("Location")
        if response.status not in _MOVED or not target:
            return _plain(Response(url, response, deadline), url)
        response.close()
        here = _joined(url, here, target)
        if parts.scheme == "https" and not here.lower().startswith("https:"):
            raise HeaderError(url, "is redirected from https to an address without it", remedy="download it")
    raise HeaderError(url, f"is redirected more than {MAX_REDIRECTS} times", remedy="look at the address once more")


def _plain(answer: Response, url: str) -> Response:
    encoding = answer.header("Content-Encoding").lower()
    if encoding in {"", "identity"}:
        return answer
    answer.close()
    raise HeaderError(url, f"the server sends it packed ({encoding[:40]!r})", remedy="download it")


def _joined(url: str, here: str, target: str) -> str:
    try:
        return urljoin(here, target)
    except ValueError as error:
        raise HeaderError(url, f"is redirected to {target[:200]!r}, expected an address") from error


def _checked(url: str, here: str) -> SplitResult:
    """The parts of ``here``, an address that may be asked."""
    try:
        parts = urlsplit(here)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise HeaderError(url, f"is no address: {error}") from error
    # Control characters and spaces would become a part of the request.
    if parts.scheme not in {"https", "http"} or not host or not here.isascii() or not here.isprintable() or " " in here:
        raise HeaderError(
            url, f"is no address that can be asked: {here[:200]!r}", remedy="quote what is no ASCII in it"
        )
    if parts.username is not None:
        raise HeaderError(f"{parts.scheme}://...@{host}", "an address must hold no password", remedy="download it")
    if parts.scheme == "http" and not _is_near(host):
        raise HeaderError(url, "is neither encrypted nor on this network", remedy="use https")
    return parts


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port


def _is_near(host: str) -> bool:
    """Whether it is this host or one of its own network."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".local", ".lan", ".localhost")) or "." not in host


def _open(
    url: str, here: str, headers: Mapping[str, str], *, silence: float, deadline: float
) -> http.client.HTTPResponse:
    left = _in_time(url, deadline)
    calls: list[http.client.HTTPConnection] = []
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.ProxyHandler({} if _is_near(urlsplit(here).hostname or "") else None))
    opener.add_handler(_Handler(calls))
    # A socket's timeout begins anew with every byte, so a server that drips its answer's head is hung up on.
    timer = threading.Timer(left, _hang_up, (calls,))
    timer.daemon = True
    timer.start()
    try:
        with _one_line(url):
            response = opener.open(urllib.request.Request(here, headers=dict(headers)), timeout=min(silence, left))  # noqa: S310 - _checked.
    except HeaderError:
        _in_time(url, deadline)
        raise
    finally:
        timer.cancel()
    assert isinstance(response, http.client.HTTPResponse)
    return response


class _Plain(http.client.HTTPConnection):
    """A connection that a server without ranges cannot fill with what nobody reads."""

    def connect(self) -> None:
        """Connect, and keep little that is not read yet."""
        super().connect()
        self.sock.setsockopt(SOL_SOCKET, SO_RCVBUF, _UNREAD)


class _Encrypted(http.client.HTTPSConnection):
    """The same with encryption."""

    def connect(self) -> None:
        """Connect, and keep little that is not read yet."""
        super().connect()
        self.sock.setsockopt(SOL_SOCKET, SO_RCVBUF, _UNREAD)


class _Handler(urllib.request.AbstractHTTPHandler):
    """Opens connections of both kinds and notes them."""

    def __init__(self, calls: list[http.client.HTTPConnection]) -> None:
        super().__init__()
        self._calls = calls

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Without encryption."""
        return self.do_open(self._plain, request)  # type: ignore[arg-type]

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """With a certificate that this host trusts."""
        return self.do_open(self._encrypted, request)  # type: ignore[arg-type]

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def _plain(self, host: str, *, timeout: float) -> http.client.HTTPConnection:
        self._calls.append(_Plain(host, timeout=timeout))
        return self._calls[-1]

    def _encrypted(self, host: str, *, timeout: float) -> http.client.HTTPConnection:
        context = ssl.create_default_context()
        self._calls.append(_Encrypted(host, timeout=timeout, context=context))
        return self._calls[-1]


def _hang_up(calls: list[http.client.HTTPConnection]) -> None:
    for call in calls:
        if call.sock:
            with suppress(OSError):
                call.sock.shutdown(SHUT_RDWR)


def _in_time(url: str, deadline: float) -> float:
    """Seconds that are left."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise HeaderError(url, "the server is too slow", remedy="try again later, or download it")
    return left


@contextmanager
def _one_line(url: str) -> Iterator[None]:
    """Whatever goes wrong below HTTP becomes a ``HeaderError``."""
    try:
        yield
    except TimeoutError as error:
        raise HeaderError(url, "the server is silent", remedy="try again later, or download it") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, TimeoutError):
            raise HeaderError(url, "the server is silent", remedy="try again later, or download it") from error
        said = " ".join(f"{cause}".split())[:200] or type(cause).__name__
        raise HeaderError(url, f"cannot be read: {said}", remedy="look at the address and the network") from error
