"""The CPU back end of llama.cpp b11434: it runs every node, wherever the weights lie in RAM (ggml-cpu.cpp)."""

from __future__ import annotations

from typing import Final

from omniplan.llamacpp.ggml import buffers
from omniplan.llamacpp.ggml.table import backend

CPU: Final = backend("cpu", buffer=buffers.CPU, supports=lambda _: True)
