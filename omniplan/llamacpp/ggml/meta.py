"""The device that ``--split-mode tensor`` makes of several, each of which runs its slice of every node."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from omniplan.llamacpp.ggml.backend import Backend, Device
from omniplan.llamacpp.ggml.buffers import BufferType
from omniplan.llamacpp.graph.node import Node

# ggml-backend-meta.cpp: ggml_backend_meta_buffer_type_context wants to list its members, and finds the list moved away.
NAME: Final = "Meta()"


def meta(members: Sequence[Device]) -> Device:
    """One device of all ``members``.

    It never asks for nodes whose weight lies in RAM, and nodes are neither reordered nor tied: those functions are
    missing. Every member reserves what a whole node takes.
    """
    backend = _backend(tuple(member.backend for member in members), tuple(member.capability for member in members))
    return Device(name=NAME, backend=backend, buffer=NAME, memory=backend.memory, members=tuple(members))


# Backends are compared by identity, and graphs remember what theirs said.
@lru_cache(maxsize=64)
def _backend(backends: tuple[Backend, ...], capabilities: tuple[int, ...]) -> Backend:
    kinds = set(backends)
    hosts = {backend.host for backend in kinds}

    def scratch(node: Node, _: int) -> int:
        return max(backend.scratch(node, each) for backend, each in zip(backends, capabilities, strict=True))

    return Backend(
        name="meta",
        memory=BufferType(
            alignment=max(backend.memory.alignment for backend in kinds),
            row_padding=max(backend.memory.row_padding for backend in kinds),
            max_size=min(backend.memory.max_size for backend in kinds),
        ),
        host=hosts.pop() if len(hosts) == 1 else None,
        supports=lambda node: all(backend.supports(node) for backend in kinds),
        scratch=scratch,
    )
