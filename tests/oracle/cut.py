"""Headers of the zoo cut down to their first layers: real widths, heads and types in few enough bytes to load.

``python -m tests.oracle.cut FOLDER`` writes them again from the zoo in ``FOLDER``, under ``tests/data/models/cut``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import omniplan
from omniplan.domain.roles import layer_of
from tests.headers import Item, write_gguf
from tests.oracle.cases import DATA

FOLDER: Final = DATA / "models" / "cut"
# Layers to keep: enough for one of every kind, and for a third of devices to begin with.
LAYERS: Final = {
    "GLM-4.5-Air-Q4_K_M": 2,
    "Qwen3-30B-A3B-Q4_K_M": 4,
    "Qwen3-Next-80B-A3B-Q4_K_M": 4,
    "Qwen3.5-35B-A3B-Q6_K": 4,
    "Qwen3.6-27B-Q4_K_M": 8,
    "Step-3.5-Flash-Q4_K_M": 4,
    "gemma-3-27b-Q4_K_M": 7,
    "gpt-oss-120b-MXFP4_MOE": 2,
    "phi-4-Q4_K_M": 4,
}


def write(source: Path, n_layer: int, folder: Path) -> Path:
    """The first ``n_layer`` layers of a header, and what is outside of layers."""
    model = omniplan.load_model(source)
    n_all, keys = model.hparams.n_layer_all, dict(model.header.metadata)
    metadata = {name: _cut(value, n_all, n_layer) for name, value in keys.items() if not name.startswith("split.")}
    metadata |= {f"{model.arch}.block_count": n_layer}
    metadata.pop(f"{model.arch}.nextn_predict_layers", None)
    kept = [tensor for tensor in model.header.tensors if (layer_of(tensor.name) or 0) < n_layer]
    rows = [(tensor.name, tensor.type.name, tensor.shape) for tensor in kept]
    return write_gguf(folder / f"{source.stem}-first{n_layer}.gguf", metadata, rows)


def _cut(value: object, n_all: int, n_layer: int) -> Item:
    """An array with an entry per layer, or one more per nextn layer, keeps those of the first ones."""
    if isinstance(value, tuple):
        kept = value[:n_layer] if n_all <= len(value) <= n_all + 1 else value
        return [*kept]
    assert isinstance(value, bool | int | float | str)
    return value


def main() -> None:
    """Write every header."""
    FOLDER.mkdir(exist_ok=True)
    for name, n_layer in LAYERS.items():
        write(Path(sys.argv[1]) / f"{name}.gguf", n_layer, FOLDER)


if __name__ == "__main__":
    main()
