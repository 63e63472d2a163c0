"""Models of the hub, by repository and quant: from a stand-in of its API, its cache, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from omniplan.errors import HeaderError
from omniplan.gguf import read_header
from omniplan.gguf.hub import HubFile, Repository, chosen, hub_file, is_repository
from tests.file_server import Site, serving_files
from tests.headers import make_header

NAMES = ("README.md", "m-Q4_K_M.gguf", "m-IQ4_K_M.gguf", "m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf",
         "UD-Q2_K_XL/m-UD-Q2_K_XL-00001-of-00002.gguf", "mmproj-m-F16.gguf", "imatrix.gguf")  # fmt: skip
READ = """
import json, sys
from omniplan.errors import HeaderError
from omniplan.gguf import read_header
for place in sys.argv[1:]:
    try:
        header = read_header(place)
        print(json.dumps([header.metadata["general.name"], list(header.paths)]))
    except HeaderError as error:
        print(json.dumps(str(error)))
"""

OFFERED = """
import json, sys
from omniplan.gguf.offered import offered
for item in offered(sys.argv[1]):
    print(json.dumps([item.file.quant, list(item.header.paths)]))
"""


def repository(names: Sequence[str]) -> Repository:
    return Repository(repo="o/r", revision="main", files=dict.fromkeys(names, 9))


@pytest.mark.parametrize(
    ("quant", "name"),
    [
        ("", "m-Q4_K_M.gguf"),
        ("q4_k_m", "m-Q4_K_M.gguf"),
        ("Q8_0", "m-Q8_0-00001-of-00002.gguf"),
        ("UD-Q2_K_XL", "UD-Q2_K_XL/m-UD-Q2_K_XL-00001-of-00002.gguf"),
        ("Q2_K_XL", "UD-Q2_K_XL/m-UD-Q2_K_XL-00001-of-00002.gguf"),
    ],
)
def test_a_quant_is_a_word_of_the_name(quant: str, name: str) -> None:
    """Of a set the first part; projectors and importance matrices are no models."""
    assert chosen("hf:o/r", repository(NAMES), quant).name == name


@pytest.mark.parametrize(
    ("names", "quant", "line"),
    [
        (NAMES, "Q5_K_M", "no models of the repository are Q5_K_M; name one of UD-Q2_K_XL/m"),
        (("a-Q4_0.gguf", "b-Q4_0.gguf"), "Q4_0", "2 models of the repository are Q4_0; name one of a-Q4_0.gguf, b-"),
        (("README.md",), "", "it holds no GGUF files"),
    ],
)
def test_what_is_not_one_model_says_what_there_is(names: tuple[str, ...], quant: str, line: str) -> None:
    """None, or several."""
    with pytest.raises(HeaderError) as caught:
        chosen("hf:o/r", repository(names), quant)

    assert line in str(caught.value)


@pytest.mark.parametrize("place", ["hf:", "hf:a", "hf:a/b/c", "hf:a/../b.gguf", "hf:a/b:", "hf:a/b:x/y", "hf:a b/c"])
def test_a_name_that_is_none_asks_nobody(place: str) -> None:
    """One line."""
    with pytest.raises(HeaderError, match="is no model's name"):
        read_header(place)


def test_without_the_library_its_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """For pip, uv and pipx."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        HeaderError, match=r"pip install huggingface-hub`, `uv .* `pipx inject omniplan huggingface-hub"
    ):
        read_header("hf:o/r:Q4_K_M")


@pytest.mark.parametrize(
    ("place", "quant", "pattern", "url"),
    [
        ("hf:o/r/m-UD-Q2_K_XL.gguf", "UD-Q2_K_XL", "m-UD-Q2_K_XL.gguf", "/o/r/resolve/main/m-UD-Q2_K_XL.gguf"),
        ("hf:o/r@refs/pr/1/Q8_0/m-00001-of-00003.gguf", "Q8_0", "Q8_0/m-*-of-00003.gguf",
         "/o/r/resolve/refs%2Fpr%2F1/Q8_0/m-00001-of-00003.gguf"),
        ("hf:o/r@0123abc/gemma-3-4b-it-qat-q4_0.gguf", "q4_0", "gemma-3-4b-it-qat-q4_0.gguf",
         "/o/r/resolve/0123abc/gemma-3-4b-it-qat-q4_0.gguf"),
        ("hf:o/r/model.gguf", "", "model.gguf", "/o/r/resolve/main/model.gguf"),
    ],
)  # fmt: skip
def test_a_file_of_a_repository(
    place: str, quant: str, pattern: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its quant, what its set matches, its address on the hub that is asked, and the name it is read by again."""
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    file = hub_file(place)

    assert file is not None
    assert (file.quant, file.pattern, file.url, file.place) == (quant, pattern, f"https://hub.example{url}", place)


def test_a_repository_is_no_file() -> None:
    """With a revision or without; a quant makes it one model."""
    assert [is_repository(place) for place in ("hf:o/r", "hf:o/r@main", "hf:o/r:Q4_0", "hf:o/r/a.gguf", "a")] == [
        True, True, False, False, False
    ]  # fmt: skip
    assert hub_file("hf:o/r:Q4_0") is None


def test_what_llama_server_takes_for_a_quant() -> None:
    """The first whose name has the word before a dash or a dot: not always the one that is meant."""
    plain = repository(("m-Q4_K_M.gguf", "m-UD-Q4_K_M.gguf", "model.gguf"))

    assert plain.llama_takes(HubFile(repo="o/r", revision="main", name="m-Q4_K_M.gguf"))
    assert plain.llama_takes(HubFile(repo="o/r", revision="main", name="m-UD-Q4_K_M.gguf"))
    assert not plain.llama_takes(HubFile(repo="o/r", revision="main", name="model.gguf"))
    assert chosen("hf:o/r", plain, "Q4_K_M").name == "m-Q4_K_M.gguf"


def read(folder: Path, hub: str, *places: str, offline: bool = False, program: str = READ) -> list[object]:
    """What a program of its own reads, to which ``hub`` is the hub."""
    own = {"HF_ENDPOINT": hub, "HF_HOME": str(folder / "hf"), "HF_TOKEN": "secret", "OMNIPLAN_CACHE": str(folder)}
    environment = {**os.environ, **own, "HF_HUB_OFFLINE": str(int(offline)), "HF_HUB_DISABLE_TELEMETRY": "1"}
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        environment.pop(name, None)
    command = [sys.executable, "-c", program, *places]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_repository_is_listed_and_read(tmp_path: Path) -> None:
    """With the library's login, which the store that the hub leads to does not see; a set by all its addresses."""
    parts = [
        make_header({"general.name": "two", "split.no": part, "split.count": 2, "split.tensors.count": 2},
                    [(f"t{part}", "f32", (256,))])
        for part in range(2)
    ]  # fmt: skip
    with serving_files(Site(files={"/blob": make_header({"general.name": "one"}, [("a", "f32", (256,))])})) as store:
        tree = [{"type": "file", "path": name, "size": 9, "oid": "0" * 40} for name in NAMES]
        base = "/o/r/resolve/main"
        files = {"/api/models/o/r/tree/main": json.dumps(tree).encode()}
        files |= {f"{base}/m-Q8_0-0000{n + 1}-of-00002.gguf": part for n, part in enumerate(parts)}
        with serving_files(Site(files=files, moved={f"{base}/m-Q4_K_M.gguf": f"{store.url}/blob"}, tag="")) as hub:
            one, two, none, gone = read(
                tmp_path, hub.url, "hf:o/r:Q4_K_M", "hf:o/r/m-Q8_0-00002-of-00002.gguf", "hf:o/r:Q9", "hf:o/gone"
            )

    # llama-server's -hf would take m-IQ4_K_M for Q4_K_M, so that only its address names it.
    assert one == ["one", [f"{hub.url}{base}/m-Q4_K_M.gguf"]]
    assert two == ["two", [f"hf:o/r/m-Q8_0-0000{n}-of-00002.gguf" for n in (1, 2)]]
    assert "no models of the repository are Q9" in str(none)
    assert "the hub refuses its list (HTTP 404)" in str(gone)
    logins = {headers.get("authorization", headers.get("Authorization")) for _, headers in hub.asked}
    assert logins == {"Bearer secret"}
    assert [headers.get("Authorization") for _, headers in store.asked] == [None]


def test_what_the_library_has_cached_needs_no_network(tmp_path: Path) -> None:
    """The file itself, whose path llama-server can load; what is not cached says so."""
    cache = tmp_path / "hf" / "hub" / "models--o--r"
    snapshot = cache / "snapshots" / ("0" * 40)
    for folder in (snapshot, cache / "refs", cache / "blobs"):
        folder.mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    (cache / "blobs" / "1").write_bytes(make_header({"general.name": "one"}, [("a", "f32", (256,))]))
    (snapshot / "m-Q4_K_M.gguf").symlink_to(cache / "blobs" / "1")

    places = ("hf:o/r", "hf:o/r/m-Q4_K_M.gguf", "hf:o/r/m-Q8_0.gguf")
    with serving_files(Site(files={})) as hub:
        here, named, other = read(tmp_path, hub.url, *places, offline=True)
    ranked = read(tmp_path, hub.url, "hf:o/r", offline=True, program=OFFERED)
    assert ranked == [["Q4_K_M", [str(snapshot / "m-Q4_K_M.gguf")]]]
    assert here == named == ["one", [str(snapshot / "m-Q4_K_M.gguf")]]
    assert "m-Q8_0.gguf is not in the cache whole; unset HF_HUB_OFFLINE" in str(other)
    assert hub.asked == []
