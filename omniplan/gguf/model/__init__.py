"""From a header to a model."""

from omniplan.gguf.model.model import build_model

__all__ = ["build_model"]
