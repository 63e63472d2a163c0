"""What was measured is kept on this host, and told in one line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from omniplan import api
from omniplan.errors import OmniplanError

if TYPE_CHECKING:
    from omniplan.bench.values import BenchReport
    from omniplan.domain.plan import Plan
    from omniplan.tune.session import Tuned


def keep(found: Tuned | BenchReport, plan: Plan | None = None) -> None:
    """Keep what ``found`` measured; that it cannot be kept ends nothing."""
    try:
        paths = api.keep_measurements(api.measurements(found, plan))
    except OmniplanError as error:
        print(f"note: {error}", file=sys.stderr)
        return
    if paths:
        print(f"kept for later plans: {len(paths)} measurement(s) in {paths[0].parent}", file=sys.stderr)
