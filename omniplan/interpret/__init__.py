"""From a header to a model."""

from omniplan.interpret.model import build_model

__all__ = ["build_model"]
