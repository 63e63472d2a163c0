"""Reads the beginning of a file on another host, by range requests, and trusts nothing that its server says.

HTTP: RFC 9110, sections 13 (conditional requests) and 14 (ranges).
"""

from __future__ import annotations

import http.client
import re
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from omniplan.domain.progress import Progress, unwatched
from omniplan.errors import HeaderError
from omniplan.gguf import kept
from omniplan.gguf.location import Located
from omniplan.gguf.request import Response, ask
from omniplan.units import MIB, mib

# A vocabulary of 0.8 million strings with its merges takes some 30 MB; the rest of a header hardly anything.
MAX_HEADER: Final = 64 * MIB
# How often an answer that is cut short is taken up again where it ended.
RETRIES: Final = 2
RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_AGAIN: Final = "try again, or download it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a file is read: ``step`` bytes a request, and how many seconds are waited at most.

    Most headers without a vocabulary are smaller than a step, one of 150,000 tokens takes four to eight. ``silence`` is
    without a byte, ``whole`` for all that is read of a file.
    """

    step: int = MIB
    silence: float = 20.0
    whole: float = 300.0


class RemoteFile:
    """The file at ``url``, of which as many bytes are read as are asked for, and none twice; closes as a context.

    Raises ``HeaderError`` for a server that cannot be reached, is slow, cuts its answers short or contradicts itself,
    and for a file that changes while it is read. Bytes that were read before are taken from the user's cache folder
    once the server says that the file is the same. The token of ``where`` is shown to the host of ``url`` alone.
    """

    def __init__(
        self, url: str, *, where: Located | None = None, pace: Pace | None = None, progress: Progress = unwatched
    ) -> None:
        self.url = url
        self._where = where or Located(place=url)
        self._progress = progress
        self._login = login(self._where)
        self._pace = pace or Pace()
        self._deadline = time.monotonic() + self._pace.whole
        self._data = bytearray()
        self._position = self._n_known = 0
        self._stream: Response | None = None
        known = kept.find(url)
        answer = self._ask({"Range": span(0, self._pace.step)} | (_if_changed(known.validator) if known else {}))
        if known and answer.status == http.client.NOT_MODIFIED:
            answer.close()
            self.size, self._validator, self._data = known.size, known.validator, bytearray(known.data)
            self._n_known = len(known.data)
        else:
            self.size, self._validator = self._total(answer), answer.validator
            self._accept(answer, self._pace.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream:
            self._stream.close()

    def seek(self, offset: int, /) -> None:
        """Go to the byte at ``offset``."""
        self._position = offset

    def read(self, size: int, /) -> bytes:
        """The next ``size`` bytes, fewer at the file's end."""
        end = min(self._position + size, self.size)
        if end > MAX_HEADER:
            raise self._error(f"its header is longer than the {MAX_HEADER:,} bytes that are read of a file elsewhere")
        tries = RETRIES
        while len(self._data) < end:
            before = len(self._data)
            self._more(max(end - before, self._pace.step))
            tries = RETRIES if len(self._data) > before else tries - 1
            if tries < 0:
                raise self._error(f"the server's answers end at byte {before:,} of {self.size:,}", _AGAIN)
        start, self._position = self._position, end
        return bytes(self._data[start:end])

    def keep(self) -> None:
        """Put what was read into the cache, where the server says how to tell that it is still so."""
        if self._validator and len(self._data) > self._n_known:
            kept.keep(
                self.url,
                kept.KeptHeader(size=self.size, validator=self._validator, data=bytes(self._data[: self._position])),
            )

    def _tell(self) -> None:
        """How far it is read; nobody knows where the header ends before its end."""
        self._progress(0, 0, f"reading the header of {self.url.rpartition('/')[2]}: {mib(len(self._data))}")

    def _ask(self, headers: dict[str, str]) -> Response:
        return ask(self.url, headers | self._login, silence=self._pace.silence, deadline=self._deadline)

    def _more(self, size: int) -> None:
        """The next bytes, at most ``size``; none where an answer is cut."""
        if self._stream:
            got = self._stream.read(size)
            if not got:
                raise self._error(f"the server's answer ends at byte {len(self._data):,} of {self.size:,}", _AGAIN)
            self._data += got
            self._tell()
            return
        start = len(self._data)
        headers = {"Range": span(start, size)}
        # Only a strong one says that every byte is the same (RFC 9110, 13.1.5).
        if not self._validator.startswith("W/"):
            headers |= {"If-Range": self._validator} if self._validator else {}
        answer = self._ask(headers)
        if self._total(answer) != self.size or answer.validator != self._validator or answer.status != 206:
            answer.close()
            raise self._error("the file changed while it was read", _AGAIN)
        self._accept(answer, size)

    def _accept(self, answer: Response, size: int) -> None:
        """Take the bytes of an answer; one that brings the whole file is left open and read as far as is needed."""
        if answer.status == http.client.OK:
            self._stream = answer
            return
        size = min(size, self.size - len(self._data))
        with answer:
            while size and (got := answer.read(size)):
                self._data += got
                size -= len(got)
                self._tell()

    def _total(self, answer: Response) -> int:
        """The file's size, as an answer that holds bytes from the right place says it."""
        if answer.status == http.client.PARTIAL_CONTENT:
            found = RANGE.fullmatch(answer.header("Content-Range"))
            start, end, total = map(int, found.groups()) if found else (-1, -1, -1)
            if start == len(self._data) and start <= end < total:
                return total
            answer.close()
            problem = f"the server answers with {answer.header('Content-Range')[:80]!r} where byte {len(self._data):,}"
            raise self._error(f"{problem} was asked for", "download it")
        length = answer.header("Content-Length")
        if answer.status == http.client.OK and re.fullmatch(r"\d{1,19}", length):
            return int(length)
        answer.close()
        if answer.status == http.client.OK:
            raise self._error("the server knows no ranges and does not say how large the file is", "download it")
        raise self._error(*refusal(answer.status, self._where))

    def _error(self, problem: str, remedy: str = "") -> HeaderError:
        return HeaderError(self.url, problem, remedy=remedy)


def login(where: Located) -> dict[str, str]:
    """The header that a host is shown, where it wants one."""
    return {"Authorization": f"Bearer {where.token}"} if where.token else {}


def refusal(status: int, where: Located) -> tuple[str, str]:
    """What a status means to who asked, and what to try."""
    match status:
        case 401 | 403:
            remedy = where.refused or "download it with the account that may"
            return f"the server refuses to give it (HTTP {status})", remedy
        case 404 | 410:
            return f"no such file there (HTTP {status})", "look at the address once more"
        case 416:
            return "the file is empty (HTTP 416)", "look at the address once more"
        case 429:
            return "the server has been asked too often (HTTP 429)", "wait some minutes"
        case _:
            return f"the server answers with HTTP {status}", _AGAIN


def span(start: int, size: int) -> str:
    """What ``Range`` says of these bytes."""
    return f"bytes={start}-{start + size - 1}"


def _if_changed(validator: str) -> dict[str, str]:
    return {"If-None-Match" if validator.endswith('"') else "If-Modified-Since": validator}
