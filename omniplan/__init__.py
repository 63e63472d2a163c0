"""Plan where a GGUF model's layers go on a machine, in llama.cpp's own bytes, without loading it."""

from importlib import import_module
from typing import TYPE_CHECKING

from omniplan.api import (
    bench,
    calibrate,
    certify,
    check,
    check_files,
    check_text,
    compare,
    emit,
    emit_stack,
    fit,
    footprint,
    frontier,
    inspect,
    judge,
    keep_measurements,
    load_machine,
    load_measurements,
    load_model,
    load_plan,
    measurements,
    plan,
    plans,
    predict,
    probe,
    read_log,
    recommend,
    report,
    requantise,
    smoke,
    stack,
    tune,
    verify,
    weigh_engines,
    write_report,
)
from omniplan.errors import (
    ArgumentError,
    HeaderError,
    Infeasible,
    InputError,
    OmniplanError,
    RequestError,
    TableError,
    UnsupportedModel,
)
from omniplan.version import __version__

if TYPE_CHECKING:
    from omniplan.bench.gates import Gate, GateVerdict, Metric
    from omniplan.bench.protocol import BenchProtocol, ServerStart
    from omniplan.bench.values import BenchReport, SmokeReport
    from omniplan.certify.values import Certificate
    from omniplan.check.folder import FolderReport
    from omniplan.check.values import CheckReport, Finding
    from omniplan.domain.fit import FitResult
    from omniplan.domain.footprint import BufferSize, Footprint, GraphSplits
    from omniplan.domain.header import Header
    from omniplan.domain.headroom import Headroom
    from omniplan.domain.inspection import Inspection
    from omniplan.domain.machine import Gpu, Host, Machine
    from omniplan.domain.measurement import Measurement
    from omniplan.domain.model import Model
    from omniplan.domain.params import LoadMode, Override
    from omniplan.domain.plan import Plan
    from omniplan.domain.prediction import Estimate, Objective, Prediction
    from omniplan.domain.request import Request
    from omniplan.engines.values import Weighing
    from omniplan.gguf import read_header
    from omniplan.machines.probe.words import machine_from_words
    from omniplan.planning.comparison import Comparison
    from omniplan.planning.frontier_values import Frontier
    from omniplan.planning.recommendation import Recommendation
    from omniplan.predict.learned import Learned
    from omniplan.report.values import Report
    from omniplan.stack.values import Stack
    from omniplan.verify.logs.report import LoadReport
    from omniplan.verify.values import Verification


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
    "FolderReport",
    "Footprint",
    "Frontier",
    "Gate",
    "GateVerdict",
    "Gpu",
    "GraphSplits",
    "Header",
    "HeaderError",
    "Headroom",
    "Host",
    "Infeasible",
    "InputError",
    "Inspection",
    "Learned",
    "LoadMode",
    "LoadReport",
    "Machine",
    "Measurement",
    "Metric",
    "Model",
    "Objective",
    "OmniplanError",
    "Override",
    "Plan",
    "Prediction",
    "Recommendation",
    "Report",
    "Request",
    "RequestError",
    "ServerStart",
    "SmokeReport",
    "Stack",
    "TableError",
    "UnsupportedModel",
    "Verification",
    "Weighing",
    "__version__",
    "bench",
    "calibrate",
    "certify",
    "check",
    "check_files",
    "check_text",
    "compare",
    "emit",
    "emit_stack",
    "fit",
    "footprint",
    "frontier",
    "inspect",
    "judge",
    "keep_measurements",
    "load_machine",
    "load_measurements",
    "load_model",
    "load_plan",
    "machine_from_words",
    "measurements",
    "plan",
    "plans",
    "predict",
    "probe",
    "read_header",
    "read_log",
    "recommend",
    "report",
    "requantise",
    "smoke",
    "stack",
    "tune",
    "verify",
    "weigh_engines",
    "write_report",
]


# Types of results, and a function that is as it stands in its room, by module: each is imported when it is first asked
# for, so that `import omniplan` stays cheap.
_LATE = {
    "Header": "domain.header",
    "Headroom": "domain.headroom",
    "Host": "domain.machine",
    "Gpu": "domain.machine",
    "Machine": "domain.machine",
    "Model": "domain.model",
    "Measurement": "domain.measurement",
    "LoadMode": "domain.params",
    "Override": "domain.params",
    "Objective": "domain.prediction",
    "Request": "domain.request",
    "read_header": "gguf",
    "BenchProtocol": "bench.protocol",
    "BenchReport": "bench.values",
    "BufferSize": "domain.footprint",
    "Certificate": "certify.values",
    "CheckReport": "check.values",
    "Comparison": "planning.comparison",
    "Estimate": "domain.prediction",
    "Finding": "check.values",
    "FitResult": "domain.fit",
    "FolderReport": "check.folder",
    "Footprint": "domain.footprint",
    "Frontier": "planning.frontier_values",
    "Gate": "bench.gates",
    "GateVerdict": "bench.gates",
    "GraphSplits": "domain.footprint",
    "Inspection": "domain.inspection",
    "Learned": "predict.learned",
    "LoadReport": "verify.logs.report",
    "Metric": "bench.gates",
    "Plan": "domain.plan",
    "Prediction": "domain.prediction",
    "Recommendation": "planning.recommendation",
    "Report": "report.values",
    "ServerStart": "bench.protocol",
    "SmokeReport": "bench.values",
    "Stack": "stack.values",
    "Verification": "verify.values",
    "Weighing": "engines.values",
    "machine_from_words": "machines.probe.words",
}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"omniplan.{_LATE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
