"""Plan where a GGUF model's layers go on a machine, in llama.cpp's own bytes, without loading it."""

from omniplan.api import (
    bench,
    certify,
    check,
    compare,
    emit,
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
    verify,
    weigh_engines,
)
from omniplan.domain.bench import BenchReport, SmokeReport
from omniplan.domain.certificate import Certificate
from omniplan.domain.check import CheckReport, Finding
from omniplan.domain.comparison import Comparison
from omniplan.domain.engines import Weighing
from omniplan.domain.fit import FitResult
from omniplan.domain.footprint import BufferSize, Footprint, GraphSplits
from omniplan.domain.frontier import Frontier
from omniplan.domain.gates import Gate, GateVerdict, Metric
from omniplan.domain.header import Header
from omniplan.domain.headroom import Headroom
from omniplan.domain.inspection import Inspection
from omniplan.domain.load_report import LoadReport
from omniplan.domain.machine import Gpu, Machine
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Estimate, Prediction
from omniplan.domain.protocol import BenchProtocol, Launch
from omniplan.domain.recommendation import Recommendation
from omniplan.domain.verification import Verification
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
    "verify",
    "weigh_engines",
]


def __dir__() -> list[str]:
    return __all__
