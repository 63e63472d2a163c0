"""The verbs as functions: what ``import omniplan`` offers and what the command calls."""

# Some verbs are called as their rooms are: binding the rooms' names now keeps a later import from hiding the functions.
import omniplan.bench
import omniplan.certify
import omniplan.check
import omniplan.predict
import omniplan.report
import omniplan.stack
import omniplan.tune
import omniplan.verify  # noqa: F401
from omniplan.api.certificate import certify
from omniplan.api.checks import check, check_files, check_text
from omniplan.api.choose import frontier, plan, plans
from omniplan.api.engines import weigh_engines
from omniplan.api.evidence import keep_measurements, load_measurements, measurements
from omniplan.api.hosts import probe
from omniplan.api.measure import bench, judge, smoke
from omniplan.api.price import compare, fit, footprint, inspect, predict
from omniplan.api.quants import recommend, requantise
from omniplan.api.reports import report, write_report
from omniplan.api.runs import calibrate, read_log, verify
from omniplan.api.source import load_machine, load_model, load_plan
from omniplan.api.stacks import emit_stack, stack
from omniplan.api.tuning import tune
from omniplan.api.write import emit

__all__ = [
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
    "measurements",
    "plan",
    "plans",
    "predict",
    "probe",
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
