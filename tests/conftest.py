"""How hypothesis and the garbage collector run in every test.

Hypothesis is untimed, since machines that run the suite are busy, and makes the same draws always.
``make fuzz`` draws anew each time instead, shrinks what it finds and keeps it in ``.hypothesis/`` (``tests/fuzz.py``).
"""

from __future__ import annotations

import gc
import os
import tempfile

from hypothesis import HealthCheck, settings

from omniplan.cli.main import RARELY
from tests.fuzz import IS_FUZZING

_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", _UNTIMED, derandomize=True)
settings.register_profile("fuzz", _UNTIMED, print_blob=True)
settings.load_profile("fuzz" if IS_FUZZING else "steady")
# Nobody's own rows: the suite is about the shipped ones.
os.environ["OMNIPLAN_DATA"] = tempfile.mkdtemp(prefix="omniplan-no-rows-")
# As the command does. Looking every 700 took over a quarter of the time of tests that plan.
gc.set_threshold(RARELY)


def pytest_collection_finish() -> None:
    """All tests and their modules stay until the end: no search for garbage looks at them."""
    gc.collect()
    gc.freeze()
