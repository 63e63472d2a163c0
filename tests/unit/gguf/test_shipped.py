"""Headers that come with omniplan: found by name wherever a model is named, and never in the place of a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import omniplan
from omniplan.gguf.shipped import shipped
from tests.contracts.sources import ROOT

TINY = ROOT / "tests/data/models/archs/llama-dense.gguf"


@pytest.mark.parametrize("ending", ["", ".gguf"])
@pytest.mark.parametrize("name", shipped())
def test_a_name_is_a_model_in_any_folder(
    name: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read names itself so that it is read again, not by a folder of an installation."""
    monkeypatch.chdir(tmp_path)
    header = omniplan.read_header(f"{name}{ending}")

    assert header.paths == (f"{name}.gguf",)
    assert omniplan.read_header(header.paths[0]) == header
    assert omniplan.read_header(Path(name)) == header


def test_a_file_of_that_name_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{next(iter(shipped()))}.gguf"
    shutil.copy(TINY, name)

    assert omniplan.read_header(name).metadata["general.architecture"] == "llama"


def test_a_name_in_a_folder_is_a_path(tmp_path: Path) -> None:
    with pytest.raises(omniplan.HeaderError, match="no such file"):
        omniplan.read_header(tmp_path / f"{next(iter(shipped()))}.gguf")


def test_a_name_that_is_nearly_one_is_asked_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(omniplan.HeaderError, match="did you mean DeepSeek-R1-Q4_K_M, a header that comes"):
        omniplan.read_header("DeepSeek-R1")


def test_a_stack_may_name_one(tmp_path: Path) -> None:
    """And a model elsewhere: only paths start at the folder of the file."""
    from omniplan.stack.document import parse_stack

    places = ["GLM-4.7-Flash-Q8_0", "hf:a/b:Q4_K_M", "https://a.example/b.gguf", "models/a.gguf"]
    text = "".join(f'[[models]]\nname = "m{n}"\npath = "{place}"\n' for n, place in enumerate(places))

    assert [model.path for model in parse_stack(text, folder=tmp_path).models] == [
        *places[:3],
        str(tmp_path / "models" / "a.gguf"),
    ]
