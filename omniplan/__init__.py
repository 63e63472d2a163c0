"""Plan where a GGUF model's layers go on a machine, in llama.cpp's own bytes, without loading it."""

from importlib import import_module
from typing import TYPE_CHECKING

from omniplan.api import (
    bench,
    certify,
    check,
    compare,
    emit,
    emit_stack,
    fit,
    footprint,
    frontier,
    inspect,
    judge,
    learn,
    load_machine,
    load_model,
    plan,
    predict,
    read_log,
    recommend,
    requantise,
    smoke,
    stack,
    verify,
    weigh_engines,
)
from omniplan.domain.header import Header
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
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

if TYPE_CHECKING:
    from omniplan.domain.bench import BenchReport, SmokeReport
    from omniplan.domain.certificate import Certificate
    from omniplan.domain.check import CheckReport, Finding
    from omniplan.domain.comparison import Comparison
    from omniplan.domain.engines import Weighing
    from omniplan.domain.fit import FitResult
    from omniplan.domain.footprint import BufferSize, Footprint, GraphSplits
    from omniplan.domain.frontier import Frontier
    from omniplan.domain.gates import Gate, GateVerdict, Metric
    from omniplan.domain.inspection import Inspection
    from omniplan.domain.load_report import LoadReport
    from omniplan.domain.plan import Plan
    from omniplan.domain.prediction import Estimate, Prediction
    from omniplan.domain.protocol import BenchProtocol, Launch
    from omniplan.domain.recommendation import Recommendation
    from omniplan.domain.stack import Stack
    from omniplan.domain.verification import Verification

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "BenchProtocol",
    "BenchReport",
    "BufferSize",
    "Certificate",
    "CheckReport",
    "Comparison",
    "Estimate",
    "Finding",
    "FitResult",
    "Footprint",
    "Frontier",
    "Gate",
    "GateVerdict",
    "Gpu",
    "GraphSplits",
    "Header",
    "HeaderError",
    "Headroom",
    "Infeasible",
    "InputError",
    "Inspection",
    "Launch",
    "LoadReport",
    "Machine",
    "Metric",
    "Model",
    "OmniplanError",
    "Plan",
    "Prediction",
    "Recommendation",
    "SmokeReport",
    "Stack",
    "TableError",
    "UnsupportedModel",
    "Verification",
    "Weighing",
    "__version__",
    "bench",
    "certify",
    "check",
    "compare",
    "emit",
    "emit_stack",
    "fit",
    "footprint",
    "frontier",
    "inspect",
    "judge",
    "learn",
    "load_machine",
    "load_model",
    "plan",
    "predict",
    "read_header",
    "read_log",
    "recommend",
    "requantise",
    "smoke",
    "stack",
    "verify",
    "weigh_engines",
]


# Types of results, by module: each is imported when it is first asked for, so that `import omniplan` stays cheap.
_RESULTS = {
    "BenchProtocol": "protocol",
    "BenchReport": "bench",
    "BufferSize": "footprint",
    "Certificate": "certificate",
    "CheckReport": "check",
    "Comparison": "comparison",
    "Estimate": "prediction",
    "Finding": "check",
    "FitResult": "fit",
    "Footprint": "footprint",
    "Frontier": "frontier",
    "Gate": "gates",
    "GateVerdict": "gates",
    "GraphSplits": "footprint",
    "Inspection": "inspection",
    "Launch": "protocol",
    "LoadReport": "load_report",
    "Metric": "gates",
    "Plan": "plan",
    "Prediction": "prediction",
    "Recommendation": "recommendation",
    "SmokeReport": "bench",
    "Stack": "stack",
    "Verification": "verification",
    "Weighing": "engines",
}


def __getattr__(name: str) -> object:
    if name not in _RESULTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"omniplan.domain.{_RESULTS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
