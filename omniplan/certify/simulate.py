"""Prices arguments by llama.cpp's own scheduler in a process of its own, on GPUs that need not be there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from omniplan.certify.job import Job, read_tally
from omniplan.certify.library import Library, pinned
from omniplan.certify.measure import Refused
from omniplan.certify.sparse import complete_file
from omniplan.certify.values import Tally
from omniplan.domain.header import Header
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.errors import InputError

_REFUSED: Final = 1
# ggml.c:ggml_abort starts a debugger otherwise.
_ENVIRONMENT: Final = {"GGML_NO_BACKTRACE": "1"}


def simulate(
    model: Model,
    machine: Machine,
    args: tuple[str, ...],
    *,
    env: Mapping[str, str],
    timeout: float,
    no_alloc: bool = True,
    library: Library | None = None,
    repack: bool = False,
) -> Tally:
    """What llama.cpp counts for ``args`` on ``machine``; half a second for a dense model, three for DeepSeek-R1.

    ``library`` is the pinned one unless given. ``no_alloc``: measured as ``--fit`` does. Else the model is loaded, all
    its bytes read and those of the CPU kept. ``repack``: weights on the CPU are laid out for this host's processor.
    Raises Refused when llama.cpp does not take the arguments or aborts, and InputError when it cannot be asked or needs
    more than ``timeout`` seconds.
    """
    library = library or pinned()
    with tempfile.TemporaryDirectory(prefix="omniplan-") as folder:
        path_of = partial(_path, folder=Path(folder))
        job = Job.of(path_of, model, machine, args, env, no_alloc=no_alloc, library=library, repack=repack)
        return read_tally(_ask(job, timeout))


def _path(header: Header, folder: Path) -> str:
    return str(complete_file(header, folder))


def _ask(job: Job, timeout: float) -> str:
    command = [sys.executable, "-m", "omniplan.certify.worker"]
    # The worker has to find the same package as this process, wherever that came from.
    root = Path(__file__).parents[3]
    places = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, **_ENVIRONMENT, "PYTHONPATH": places}
    try:
        done = subprocess.run(
            command, input=job.to_json(), capture_output=True, text=True, timeout=timeout, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"llama.cpp's library: no answer within {timeout:g} s; allow more") from error
    if done.returncode == 0:
        return done.stdout
    last = _last_line(done.stderr)
    if done.returncode < 0:
        raise Refused(f"llama.cpp aborts ({signal.Signals(-done.returncode).name}): {last}")
    raise Refused(last) if done.returncode == _REFUSED else InputError(last)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
