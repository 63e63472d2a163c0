"""The CPU back end of llama.cpp b11434: it runs every node, wherever the weights lie in RAM (ggml-cpu.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.backend import Backend
from omniplan.llamacpp.ggml.buffers import BufferType

CPU: Final = Backend(
    name="cpu",
    # ggml-impl.h:TENSOR_ALIGNMENT
    memory=BufferType(name=buffers.CPU, alignment=32),
    supports=lambda _: True,
    scratch=lambda *_: 0,
)
