"""Headers of files on other hosts: the same as of files here, few bytes, and one line for every bad server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import omniplan
from omniplan.certify.sparse import complete_file
from omniplan.errors import HeaderError, InputError
from omniplan.gguf import kept, read_header
from omniplan.gguf.remote import MAX_HEADER, Pace, RemoteFile
from omniplan.gguf.request import MAX_REDIRECTS, ask
from omniplan.text.argv import shell_line
from omniplan.units import MIB
from tests.file_server import Site, serving_files
from tests.headers import make_header

MODELS = Path(__file__).parents[3] / "data" / "models"
# A header longer than a step, so that it takes several requests, of a file longer than what a socket holds.
LONG = make_header({"general.name": "far", "a.list": ["word " * 20] * 30_000}, [("a", "f32", (256, 1 << 20))])
SIZE = len(LONG) + 4 * 256 * (1 << 20)
DATA = bytes(range(256)) * 300
SMALL = make_header({"general.name": "far"}, [("a", "f32", (256, 2))])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIPLAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def site() -> Iterator[Site]:
    with serving_files(Site(files={"/a/m.gguf": LONG}, size=SIZE)) as served:
        yield served


def url(site: Site) -> str:
    return f"{site.url}/a/m.gguf"


def local(folder: Path, data: bytes, size: int) -> Path:
    path = folder / "m.gguf"
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def refusal(site: Site, pace: Pace | None = None) -> str:
    """The line without the address."""
    with pytest.raises(HeaderError) as caught, RemoteFile(url(site), pace=pace) as file:
        file.read(2 * MIB)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(url(site))
    return text.removeprefix(f"{url(site)}: ")


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_header_elsewhere_is_the_one_here(site: Site, tmp_path: Path, has_ranges: bool) -> None:
    """Over ranges, and from a server without them; the data is left where it is."""
    site.has_ranges = has_ranges
    here = read_header(local(tmp_path, LONG, SIZE))

    assert replace(read_header(url(site)), paths=here.paths) == here
    # What a connection holds when it is hung up was sent, but no more.
    assert site.sent < (len(LONG) + MIB if has_ranges else SIZE // 8)


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize(("n_tokens", "most"), [(150_000, 9_000_000), (0, 1_100_000)])
def test_little_is_read_of_a_large_file(site: Site, n_tokens: int, most: int, has_ranges: bool) -> None:
    """The header of 400 GB and at most a step beyond it, whether its server knows ranges or not."""
    site.has_ranges = has_ranges
    tokens = [f"token{n:06}" for n in range(n_tokens)]
    words = {"tokenizer.tokens": tokens, "tokenizer.merges": [f"{a} {b}" for a, b in pairwise(tokens)]}
    tensors = [(f"blk.{n}.ffn_up_exps.weight", "f32", (1 << 12, 1 << 12, 6)) for n in range(1000)]
    header = make_header({**words} if n_tokens else {}, tensors)
    site.files["/a/m.gguf"], site.size = header, len(header) + 1000 * 6 * 4 * (1 << 24)

    assert site.size > 400_000_000_000
    assert read_header(url(site)).file_bytes == site.size
    assert site.sent < most


@settings(max_examples=30)
@given(step=st.integers(1, 9000), sizes=st.lists(st.integers(1, 9000), max_size=6), has_ranges=st.booleans())
def test_bytes_are_those_of_the_file(step: int, sizes: list[int], has_ranges: bool) -> None:
    """However large requests and reads are."""
    with (
        serving_files(Site(files={"/m": DATA}, tag="", has_ranges=has_ranges)) as site,
        RemoteFile(f"{site.url}/m", pace=Pace(step=max(step, sum(sizes) // 20))) as file,
    ):
        assert b"".join(file.read(size) for size in sizes) == DATA[: sum(sizes)]
        assert file.size == len(DATA)
        file.seek(len(DATA) - 3)
        assert file.read(10) == DATA[-3:]


def test_redirects_are_followed_and_counted(site: Site) -> None:
    """To the file, over names relative or absolute; one that never ends is given up."""
    site.moved = {"/b": "/c", "/c": url(site), "/d": "/d"}

    assert read_header(f"{site.url}/b").metadata["general.name"] == "far"
    with pytest.raises(HeaderError, match=f"redirected more than {MAX_REDIRECTS} times"):
        read_header(f"{site.url}/d")


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://example.com/x", "//[", "http://u:p@a/x"]
)
def test_redirects_lead_nowhere_else(site: Site, target: str) -> None:
    """No file of this host, no other protocol, nothing unencrypted in the open, no credential."""
    site.moved = {"/b": target}

    with pytest.raises(HeaderError, match=r"address|encrypted"):
        read_header(f"{site.url}/b")


@pytest.mark.parametrize(
    "address",
    ["http://example.com/m.gguf", "https://", "https://a b/m", "http://127.0.0.1:x/m", "https://u:pw@h/m.gguf"],
)
def test_an_address_that_is_none_is_not_asked(address: str) -> None:
    """One line, and no password in it."""
    with pytest.raises(HeaderError) as caught:
        read_header(address)

    assert "pw" not in str(caught.value)


def test_a_credential_stays_with_its_host(site: Site) -> None:
    """It is asked with on that host alone; another one, a port is enough, gets the request without."""
    with serving_files(Site(files={}, moved={"/b": "/c", "/c": url(site)})) as hub:
        headers = {"Authorization": "Bearer secret"}
        ask(f"{hub.url}/b", headers, silence=9, deadline=time.monotonic() + 9).close()

    assert [asked.get("Authorization") for _, asked in (*hub.asked, *site.asked)] == ["Bearer secret"] * 2 + [None]
    assert headers == {"Authorization": "Bearer secret"}


def test_the_command_downloads_what_was_planned_by_its_address() -> None:
    """``-mu`` takes an address, ``-m`` a file."""
    assert shell_line("https://a/m.gguf", (), {}) == "llama-server -mu https://a/m.gguf"
    assert shell_line("/a/m.gguf", (), {}) == "llama-server -m /a/m.gguf"


def test_a_file_that_changes_while_it_is_read_is_refused(site: Site) -> None:
    """By its tag, with If-Range; by its size where it has no tag."""
    site.tags = ['"one"', '"two"']
    assert refusal(site) == "the file changed while it was read; try again, or download it"
    assert site.asked[1][1]["If-Range"] == '"one"'

    site.tag = site.modified = ""
    with RemoteFile(url(site)) as file:
        site.size = SIZE + 1
        with pytest.raises(HeaderError, match="changed"):
            file.read(2 * MIB)


def test_an_answer_that_is_cut_is_taken_up_again(site: Site) -> None:
    """Where ranges are known; without them, and where nothing comes at all, it is an error."""
    site.cut = 700_000
    with RemoteFile(url(site)) as file:
        assert file.read(2 * MIB) == LONG[: 2 * MIB]

    site.cut = 0
    assert "end at byte 0 of" in refusal(site)
    site.cut, site.has_ranges = 700_000, False
    assert "answer ends at byte 700,000" in refusal(site)


@pytest.mark.parametrize(
    "said", ["bytes 5-9/100", "bytes 0-9/5", "bytes */9", "nonsense", "bytes 9-0/" + "9" * 30, "bytes ²-9/10"]
)
def test_a_range_that_was_not_asked_for_is_refused(site: Site, said: str) -> None:
    """A server that answers with other bytes, or contradicts itself."""
    site.content_range = said

    assert "where byte 0 was asked for" in refusal(site)


@pytest.mark.parametrize(
    ("status", "line"), [(404, "no such file there"), (401, "refuses to give it"), (416, "is empty"), (500, "HTTP 500"),
                         (429, "too often"), (304, "HTTP 304"), (204, "HTTP 204")],
)  # fmt: skip
def test_a_refusal_says_what_to_try(site: Site, status: int, line: str) -> None:
    """Every status is one line."""
    site.status = status

    assert line in refusal(site)


def test_what_cannot_be_read_is_said(site: Site) -> None:
    """Packed bytes, a size that is not said, and a header that has no end."""
    site.headers = {"Content-Encoding": "gzip"}
    assert "packed ('gzip')" in refusal(site)

    site.headers, site.has_ranges, site.has_length = {}, False, False
    assert "does not say how large" in refusal(site)

    site.has_ranges, site.size = True, 1 << 40
    with RemoteFile(url(site)) as file:
        file.seek(MAX_HEADER)
        with pytest.raises(HeaderError, match="longer than"):
            file.read(1)


def test_a_server_is_waited_for_only_so_long(site: Site) -> None:
    """One that is silent, and one that drips its answer's head a byte at a time."""
    site.drip = 0.05
    assert refusal(site, Pace(whole=0.3)).startswith("the server is too slow")
    site.drip = 0.5
    assert refusal(site, Pace(silence=0.2)).startswith("the server is silent")


def test_a_host_that_is_not_there_is_one_line() -> None:
    """A port that nobody listens at."""
    with serving_files(Site(files={})) as gone:
        pass
    with pytest.raises(HeaderError, match=r"cannot be read: .*look at the address"):
        read_header(f"{gone.url}/m.gguf")


@pytest.mark.parametrize("tag", ['"one"', 'W/"one"', ""])
def test_a_header_is_asked_for_once(site: Site, tag: str) -> None:
    """The second time the server only says that nothing changed; a changed file is read anew."""
    site.tag, site.modified = tag, "Mon, 30 Nov 2026 10:00:00 GMT"
    first = read_header(url(site))
    sent = site.sent
    assert read_header(url(site)) == first
    assert site.sent == sent

    site.files["/a/m.gguf"], site.size = SMALL, None
    site.tag, site.modified = "" if not tag else '"new"', "Mon, 30 Nov 2026 11:00:00 GMT"
    assert read_header(url(site)).tensors != first.tensors
    assert read_header(url(site)).header_only


def test_a_damaged_cache_is_read_past(site: Site) -> None:
    """Whatever lies there: the file is asked for again, and kept anew."""
    first = read_header(url(site))
    (path,) = kept.folder().iterdir()
    whole = path.read_bytes()
    for damaged in (b"", b"{}\n", b"[" * 99_999, whole[:-1], whole.replace(b"far", b"fur"), b"\xff" + whole):
        path.write_bytes(damaged)
        assert read_header(url(site)) == first
        assert path.read_bytes() == whole


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not used for longest goes; a folder that cannot be made keeps nothing and harms nobody."""
    monkeypatch.setattr(kept, "MAX_KEPT", 10_000)
    for number in range(8):
        kept.keep(f"https://a/{number}", kept.KeptHeader(size=9, validator='"a"', data=bytes(2500)))

    assert [kept.find(f"https://a/{n}") is not None for n in (0, 1, 7)] == [False, False, True]
    assert sum(path.stat().st_size for path in kept.folder().iterdir()) <= 10_000
    monkeypatch.setenv("OMNIPLAN_CACHE", __file__)
    kept.keep("https://a/1", kept.KeptHeader(size=9, validator='"a"', data=b""))
    assert kept.find("https://a/1") is None


def test_the_cache_is_shared(site: Site) -> None:
    """Many readers at once see whole headers, and leave no parts behind."""
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(read_header(url(site)).tensors)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [read_header(url(site)).tensors] * 6
    assert [path.suffix for path in kept.folder().iterdir()] == [".header"]


def test_addresses_are_ranked(site: Site) -> None:
    """Files that were not downloaded can be compared; one that cannot be read is left out by its address."""
    site.files["/a/m.gguf"], site.size = (MODELS / "GLM-4.7-Flash-Q8_0.gguf").read_bytes(), None
    ranked = omniplan.recommend([url(site), f"{site.url}/no.gguf"], "RTX 3090, 64 GB", n_ctx=4096)

    assert [option.path for option in ranked.options] == [url(site)]
    assert [other.path for other in ranked.left_out] == [f"{site.url}/no.gguf"]


def test_the_library_loads_no_address(site: Site, tmp_path: Path) -> None:
    """llama.cpp opens files: what was read elsewhere has to be downloaded first."""
    with pytest.raises(InputError, match="only files of this host; download it"):
        complete_file(read_header(url(site)), tmp_path)


def test_a_file_to_keep_names_a_file(site: Site) -> None:
    """What is written to run later has the path that the model is downloaded to, not its address."""
    site.files["/a/m.gguf"], site.size = (MODELS / "GLM-4.7-Flash-Q8_0.gguf").read_bytes(), None
    plan = omniplan.plan(url(site), "RTX 3090, 64 GB", n_ctx=4096)

    with pytest.raises(InputError, match="is an address; download it"):
        omniplan.emit(plan)
    assert "-m /srv/m.gguf" in omniplan.emit(plan, model_path="/srv/m.gguf")


def test_a_set_is_read_by_its_addresses(site: Site) -> None:
    """The other parts lie beside the one that is named, with the same question; one that is missing is named."""
    for number in range(2):
        split = {"split.no": number, "split.count": 2, "split.tensors.count": 2}
        part = make_header(split, [(f"t{number}", "f32", (256,))])
        site.files[f"/a%20b/m-0000{number + 1}-of-00002.gguf"] = part + bytes(1024)
    site.size = None
    names = [f"{site.url}/a%20b/m-0000{number}-of-00002.gguf?download=true" for number in (1, 2)]

    header = read_header(names[1])
    assert header.paths == tuple(names)
    assert [tensor.name for tensor in header.tensors] == ["t0", "t1"]
    del site.files["/a%20b/m-00001-of-00002.gguf"]
    with pytest.raises(HeaderError, match=r"m-00001-of-00002.gguf\?download=true: no such file there"):
        read_header(names[1])
