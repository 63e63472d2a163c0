"""Libraries out of wheels and folders."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from omniplan.certify.elf import relaxed
from omniplan.certify.wheel import find
from omniplan.errors import InputError
from tests.unit.certify.test_elf import written


def wheel(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    """A wheel's file with these members."""
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def test_a_wheel_is_unpacked_and_relaxed(tmp_path: Path) -> None:
    """The object that all others are linked into is opened; build and name are the file's, declarations its own."""
    members = {f"llama_cpp_py_sync/{name}": written() for name in ("libllama.so", "libggml-base.so.0", "libmtmd.so")}
    members["llama_cpp_py_sync/_cffi_bindings.py"] = b"TEXT = ''"
    members["llama_cpp_py_sync/llama.py"] = b""
    source = wheel(tmp_path, "llama_cpp_py_sync-0.11739-1cpu-py3-none-manylinux2014_x86_64.whl", members)
    folder = tmp_path / "unpacked"
    folder.mkdir()

    found = find(str(source), folder)

    assert (11739, "llama-cpp-py-sync-0.11739") == (found.build, found.name)
    assert (str(folder / "libmtmd.so"), str(folder / "_cffi_bindings.py")) == (found.path, found.bindings)
    assert (folder / "libggml-base.so.0").read_bytes() == relaxed(written())
    assert not (folder / "llama.py").exists()


def test_members_stay_in_the_folder(tmp_path: Path) -> None:
    """A member's path is no path here."""
    source = wheel(tmp_path, "xllamacpp-2026.7.9873-cp310.whl", {"../../xllamacpp.abi3.so": written()})
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)

    found = find(str(source), folder)

    assert (9873, str(folder / "xllamacpp.abi3.so"), "") == (found.build, found.path, found.bindings)


def test_a_folder_is_taken_as_it_is_unless_it_must_be_relaxed(tmp_path: Path) -> None:
    """A build folder keeps its place; one that asks for a newer C library is copied."""
    built, strict, folder = tmp_path / "llama.cpp-b10505", tmp_path / "b10506", tmp_path / "copies"
    for place in (built, strict, folder):
        place.mkdir()
    (built / "libllama.so").write_bytes(relaxed(written()))
    (strict / "libllama.so").write_bytes(written())

    found = find(str(built), folder)

    assert (10505, str(built / "libllama.so")) == (found.build, found.path)
    assert str(folder / "libllama.so") == find(str(strict), folder).path
    assert (strict / "libllama.so").read_bytes() == written()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("broken-1.11739.whl", b"no archive", "cannot be unpacked"),
        ("unnamed.whl", b"", "does not say which build"),
        ("b11739.txt", b"", "expected a wheel, a folder"),
    ],
)
def test_anything_else_is_one_line(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    """What it is, and what is wrong with it."""
    path = tmp_path / name
    path.write_bytes(data)

    with pytest.raises(InputError, match=says):
        find(str(path), tmp_path)


def test_a_folder_without_a_library_is_one_line(tmp_path: Path) -> None:
    """And says what was looked for."""
    (tmp_path / "b11739").mkdir()

    with pytest.raises(InputError, match=r"holds no library of llama\.cpp"):
        find(str(tmp_path / "b11739"), tmp_path)
