"""What ``omniplan inspect`` counts."""

from __future__ import annotations

import omniplan
from tests.contracts.sources import ROOT

ARCHS = sorted((ROOT / "tests" / "data" / "models" / "archs").glob("*.gguf"))


def test_shared_experts_are_counted_where_tensors_show_them() -> None:
    """A file with ``*_shexp`` tensors has at least one shared expert, whatever its keys count."""
    models = [omniplan.load_model(path) for path in ARCHS]
    shared = [model for model in models if any("_shexp." in tensor.name for tensor in model.header.tensors)]

    assert {"qwen35moe", "qwen3next"} <= {model.arch for model in shared}
    assert [model.arch for model in shared if not omniplan.inspect(model).n_expert_shared] == []
