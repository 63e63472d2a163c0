"""What a file that is not GGUF most likely is, told from its first bytes."""

from __future__ import annotations

from typing import Final

from omniplan.errors import HeaderError

MAGIC: Final = b"GGUF"

_DOWNLOAD: Final = "download the model file itself"
_CONVERT: Final = "convert it with llama.cpp's convert_hf_to_gguf.py"
_KNOWN: Final = (
    (b"version https://git-lfs", "a Git LFS pointer", "run `git lfs pull`"),
    (b"<", "an HTML or XML page, perhaps an error message", _DOWNLOAD),
    (b"{", "JSON text, perhaps an error message or an index", _DOWNLOAD),
    (b"PK\x03\x04", "a zip archive or a PyTorch checkpoint", _CONVERT),
    (b"\x89HDF", "an HDF5 file", _CONVERT),
    (b"\x1f\x8b", "gzip-compressed", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", "unpack it first"),
    (b"lmgg", "a GGML file from before GGUF", "convert the model again, or download a newer file"),
    (b"fmgg", "a GGMF file from before GGUF", "convert the model again, or download a newer file"),
    (b"tjgg", "a GGJT file from before GGUF", "convert the model again, or download a newer file"),
    (b"\0\0\0\0", "zeros at its start, as a download that is still running has", "wait for it or download it again"),
)


def check_magic(path: str, start: bytes) -> None:
    """Raise ``HeaderError`` unless ``start``, the first bytes of a file, begins like GGUF or is a part of its magic."""
    if not start:
        raise HeaderError(path, "the file is empty", remedy=_DOWNLOAD)
    if start[: len(MAGIC)] == MAGIC[: len(start)]:
        return
    # Safetensors: the length of a JSON object in 8 bytes, then the object.
    if start[8:9] == b"{" and start[5:8] == b"\0\0\0":
        raise HeaderError(path, "not a GGUF file: it is safetensors", offset=0, remedy=_CONVERT)
    for prefix, what, remedy in _KNOWN:
        if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(prefix):
            raise HeaderError(path, f"not a GGUF file: it is {what}", offset=0, remedy=remedy)
    raise HeaderError(path, f"not a GGUF file: it starts with {start[:4]!r}, expected {MAGIC!r}", offset=0)
