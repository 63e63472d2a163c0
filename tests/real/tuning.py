"""A tuning that is interrupted in its second run, and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import omniplan
from omniplan.domain.plan import Plan
from omniplan.tune.choice import TunedRun
from omniplan.tune.session import Tuned

ASKED = omniplan.Request(n_ctx=1024, n_prompt=256, n_gen=16, n_ubatch=None)


def interrupted_and_resumed(
    model: Path, machine: omniplan.Machine, journal: Path, measured: Callable[[Plan], TunedRun]
) -> Tuned:
    """What it ends with: the first run is kept, no run fails, and the best that ran is known."""
    begun = 0

    def interrupted(plan: Plan) -> TunedRun:
        nonlocal begun
        begun += 1
        if begun == 2:
            raise KeyboardInterrupt
        return measured(plan)

    first = omniplan.tune(model, machine, ASKED, journal=journal, runner=interrupted)
    found = omniplan.tune(model, machine, ASKED, journal=journal, runner=measured)

    assert [item.failure for item in found.runs] == [""] * len(found.runs)
    assert found.runs[: len(first.runs)] == first.runs
    assert found.best is not None
    assert (found.seconds(found.best) or 0) > 0
    assert begun in (1, 2)
    return found
