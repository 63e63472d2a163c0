"""Reads GGUF headers: metadata and tensor tables of one file or a split model, never tensor data."""

from omniplan.gguf.shards import read_header

__all__ = ["read_header"]


def __dir__() -> list[str]:
    return __all__
