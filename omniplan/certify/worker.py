"""The process that holds the library: one job in, one tally or refusal out, and gone with all that is registered."""

from __future__ import annotations

import os
import sys

from omniplan.certify import library
from omniplan.certify.job import Job, write_tally
from omniplan.certify.measure import Refused, measure
from omniplan.errors import OmniplanError


def main() -> int:
    """Answer the job on standard input; exit code 1 when llama.cpp refuses it, 2 when it could not be asked."""
    try:
        job = Job.from_json(sys.stdin.read())
        answer = write_tally(measure(*library.load(job.library), job))
    except OmniplanError as error:
        print(error, file=sys.stderr)
        return 1 if isinstance(error, Refused) else 2
    print(answer)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing is torn down: the library's exit handlers would call into callbacks that are no more.
    os._exit(code)
