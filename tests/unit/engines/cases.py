"""The diary's machine and model, and weighings of them with one fact changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any, Final

import omniplan
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.engines.site import Site, load_site
from omniplan.engines.values import Viability
from omniplan.engines.weigh import EngineQuestion, weigh
from tests.oracle.cases import model

GIB: Final = 1 << 30
BLOCKED, CONDITIONS, VIABLE = Viability.BLOCKED, Viability.CONDITIONS, Viability.VIABLE


@cache
def machine() -> Machine:
    """The diary's."""
    return omniplan.load_machine("omni-nps1")


@cache
def deepseek() -> Model:
    """DeepSeek-R1 Q4_K_M, plain."""
    return model("DeepSeek-R1-Q4_K_M-00001-of-00009")


@cache
def plan() -> Plan:
    """llama.cpp's plan, which other engines' verdicts do not depend on."""
    return omniplan.plan(deepseek(), machine(), n_ctx=8192)


def site(**changes: Any) -> Site:
    """The diary's host, with changes."""
    return replace(load_site(["omni"]), **changes)


def renamed(name: str, path: str) -> Model:
    """DeepSeek-R1's header under another model's name and path: V3-0324 and R1-0528 have its shapes."""
    source = deepseek()
    header = source.header
    metadata = {**header.metadata, "general.name": name}
    return replace(source, header=replace(header, metadata=metadata, paths=(path,)))


def day(text: str) -> date:
    """The date written so."""
    return date.fromisoformat(text)


def ask(
    on: Machine | None = None,
    at: Site | None = None,
    *,
    day: str = "",
    of: Model | None = None,
    versions: dict[str, str] | None = None,
) -> omniplan.Weighing:
    """A weighing; llama.cpp's plan is the diary's machine's in all of them."""
    return weigh(
        EngineQuestion(
            model=of or deepseek(),
            machine=on or machine(),
            site=at or site(),
            n_ctx=8192,
            plan=plan(),
            as_of=date.fromisoformat(day) if day else None,
            versions=versions or {},
        )
    )


def verdicts(weighing: omniplan.Weighing) -> dict[str, Viability]:
    """Verdicts by engine."""
    return {item.engine: item.verdict for item in weighing.engines}


def rules(weighing: omniplan.Weighing, engine: str) -> set[str]:
    """Every rule that found something about an engine, whatever the way."""
    return {finding.rule for way in weighing.engine(engine).ways for finding in way.findings}


def with_amx(given: Machine) -> Machine:
    """The same machine with a CPU that has AMX."""
    assert given.cpu is not None
    return replace(given, cpu=replace(given.cpu, features=(*given.cpu.features, "amx_int8", "amx_tile")))


def with_ram(given: Machine, gib: int) -> Machine:
    """The same machine with so much RAM, of which the system keeps what it keeps."""
    assert given.memory is not None
    return replace(given, memory=replace(given.memory, total=gib * GIB))


def with_equal_gpus(given: Machine) -> Machine:
    """The same machine with the larger GPU twice."""
    first = given.gpus[0]
    return replace(given, gpus=(first, replace(first, name="CUDA1", uuid="", pci="")))
