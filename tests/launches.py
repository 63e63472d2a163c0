"""Launches of real plans for tests, and the real programs that read what is written."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

import omniplan
from omniplan.domain.plan import Plan
from tests.contracts.sources import ROOT

DATA: Final = ROOT / "tests" / "data"
START: Final = DATA / "models_conf" / "start.sh"
ZOO: Final = DATA / "models" / "zoo"
GLM: Final = ROOT / "data" / "models" / "GLM-4.7-Flash-Q8_0.gguf"
DIARY: Final = DATA / "models_conf" / "diary.conf"


@cache
def plan_of(name: str, machine: str, n_ctx: int = 131072, cache_type: str = "q8_0") -> Plan:
    """The plan of a model of the repository on a shipped machine."""
    path = GLM if name == GLM.stem else ZOO / f"{name}.gguf"
    return omniplan.plan(
        path, omniplan.load_machine(machine), n_ctx=n_ctx, cache_type_k=cache_type, cache_type_v=cache_type
    )


def started(conf: Path, folder: Path) -> dict[str, tuple[str, ...]]:
    """llama-server's arguments for every section, from bash itself, run in an empty ``folder``."""
    done = subprocess.run(["bash", START, conf], cwd=folder, capture_output=True, check=True)
    pieces = iter(done.stdout.decode().split("\0")[:-1])
    return {id: tuple(next(pieces) for _ in range(int(next(pieces)))) for id in pieces}


def shell_words(line: str) -> list[str]:
    """Words of a command as bash splits them; ``llama-server`` is a function that prints its arguments."""
    script = f"llama-server() {{ printf '%s\\0' \"$@\"; }}\n{line}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


_SPECIAL: Final = " '\"$\\#;%`!*?[]{}()<>|&~=,:@-\t\n\r\x01\x7f\x85\u2028\ufeffäß漢字😀"
_PIECES: Final = st.one_of(
    st.sampled_from(_SPECIAL),
    st.sampled_from(["${PORT}", "$HOME", "$(id)", "%h", "\\n", " #", "' \"", "models/", "../", "//", "\n#", "-ot"]),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    st.text("abcXYZ019_.-", min_size=1, max_size=5),
)


def model_paths() -> st.SearchStrategy[str]:
    """Paths of models that tease every quoting there is, absolute ones mostly."""
    tails = st.lists(_PIECES, min_size=1, max_size=8).map("".join)
    return st.one_of(tails.map(lambda tail: f"/srv/models/{tail}.gguf"), tails.map(lambda tail: f"{tail}.gguf"))
