"""Plan where a GGUF model's layers go on a machine, in llama.cpp's own bytes, without loading it."""

from omniplan.api import (
    certify,
    compare,
    emit,
    fit,
    footprint,
    frontier,
    inspect,
    load_machine,
    load_model,
    plan,
    predict,
)
from omniplan.domain.certificate import Certificate
from omniplan.domain.comparison import Comparison
from omniplan.domain.fit import FitResult
from omniplan.domain.footprint import BufferSize, Footprint, GraphSplits
from omniplan.domain.frontier import Frontier
from omniplan.domain.header import Header
from omniplan.domain.headroom import Headroom
from omniplan.domain.inspection import Inspection
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Estimate, Prediction
from omniplan.errors import (
    ArgumentError,
    HeaderError,
    Infeasible,
    InputError,
    OmniplanError,
    TableError,
    UnsupportedModel,
)
from omniplan.gguf import read_header

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "BufferSize",
    "Certificate",
    "Comparison",
    "Estimate",
    "FitResult",
    "Footprint",
    "Frontier",
    "Gpu",
    "GraphSplits",
    "Header",
    "HeaderError",
    "Headroom",
    "Infeasible",
    "InputError",
    "Inspection",
    "Machine",
    "Model",
    "OmniplanError",
    "Plan",
    "Prediction",
    "TableError",
    "UnsupportedModel",
    "__version__",
    "certify",
    "compare",
    "emit",
    "fit",
    "footprint",
    "frontier",
    "inspect",
    "load_machine",
    "load_model",
    "plan",
    "predict",
    "read_header",
]


def __dir__() -> list[str]:
    return __all__
