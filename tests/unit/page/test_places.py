"""Places of models as people write them, and the lists of a hub that may say anything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.errors import OmniplanError
from omniplan.page.places import place_of
from omniplan.page.values import ModelPlace

FILE = "https://huggingface.co/some/model-GGUF/resolve/main/model-Q4_K_M.gguf"
LISTING = "https://huggingface.co/api/models/some/model-GGUF/revision/main"


def listing(*names: object) -> str:
    return json.dumps({"siblings": [{"rfilename": name} for name in names]})


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/some/model-GGUF/blob/main/model-Q4_K_M.gguf",
        "https://huggingface.co/some/model-GGUF/resolve/main/model-Q4_K_M.gguf?download=true",
        " https://hf.co/some/model-GGUF/resolve/main/model-Q4_K_M.gguf ",
    ],
)
def test_the_address_of_a_file(text: str) -> None:
    """Whichever page of the hub it is of, it is the address that the file is read at."""
    assert place_of(text) == ModelPlace(name=FILE, files=(FILE,))


@pytest.mark.parametrize(
    "text",
    [
        "some/model-GGUF/model-Q4_K_M.gguf",
        "some/model-GGUF", "hf:some/model-GGUF", "hf:some/model-GGUF:Q4_K_M", "some/model-GGUF:Q4_K_M",
        "https://huggingface.co/some/model-GGUF", "https://huggingface.co/some/model-GGUF/",
        "huggingface.co/some/model-GGUF",
        "https://huggingface.co/some/model-GGUF/tree/main",
    ],
)  # fmt: skip
def test_a_repository_is_listed_first(text: str) -> None:
    """Which files it has is asked; then the quant that is named, or the usual one, is taken, and the others offered."""
    found = place_of(text, listing("README.md", "model-Q8_0.gguf", "model-Q4_K_M.gguf", "mmproj-F16.gguf"))

    assert place_of(text) == ModelPlace(listing=LISTING)
    assert (found.name, found.files) == ("hf:some/model-GGUF/model-Q4_K_M.gguf", (FILE,))
    assert [choice.text for choice in found.others] == ["model-Q4_K_M.gguf", "model-Q8_0.gguf"]
    assert {place_of(choice.value).listing for choice in found.others} == {LISTING}


def test_all_parts_of_a_set() -> None:
    """A set is read whole, in a repository and elsewhere."""
    names = ("Q8_0/model-00001-of-00002.gguf", "Q8_0/model-00002-of-00002.gguf")
    found = place_of("some/model-GGUF:Q8_0", listing(*names))
    elsewhere = place_of(f"https://example.org/{names[0]}")

    assert found.files == tuple(f"https://huggingface.co/some/model-GGUF/resolve/main/{name}" for name in names)
    assert elsewhere.files == tuple(f"https://example.org/{name}" for name in names)
    assert elsewhere.name == elsewhere.files[0]


@pytest.mark.parametrize("text", ["", "model", "hf:", "a/b/c", "../../etc/passwd", "some/..:Q8_0", "a b/c"])
def test_what_is_no_place(text: str) -> None:
    """Is said in one line, about the model."""
    with pytest.raises(OmniplanError, match=r"write OWNER/REPO:QUANT"):
        place_of(text)


@given(raw=st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["siblings", "rfilename"]), inner)) | st.text())  # fmt: skip
def test_any_list_has_an_answer(raw: object) -> None:
    """Whatever a hub says, it is a place on that hub or a line about it."""
    text = raw if isinstance(raw, str) else json.dumps(raw)
    try:
        found = place_of("some/model", text or "?")
    except OmniplanError:
        return
    assert all(file.startswith("https://huggingface.co/some/model/resolve/main/") for file in found.files)
