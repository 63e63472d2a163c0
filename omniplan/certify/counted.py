"""A price that llama.cpp's own library counts: of architectures that it knows and omniplan has no graph of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from omniplan.certify import library
from omniplan.certify.library import Library
from omniplan.certify.measure import Refused
from omniplan.certify.simulate import simulate
from omniplan.certify.values import Tally
from omniplan.certify.wheel import find
from omniplan.domain.build import PricedBuild
from omniplan.domain.evidence import Assumption
from omniplan.domain.footprint import ContextKind, Footprint, sum_of
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams
from omniplan.errors import InputError
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.load.footprint import pools
from omniplan.llamacpp.load.process import process
from omniplan.llamacpp.load.unpriced import ARCHITECTURE

# It carries declarations of its own, so that any version of it can be asked.
_PACKAGE: Final = "llama-cpp-py-sync"
_SECONDS: Final = 60.0


def counted(
    model: Model, machine: Machine, args: tuple[str, ...], *, env: Mapping[str, str], priced: Footprint
) -> Footprint:
    """``priced`` with the figures of an installed library that knows the model's architecture.

    As it is where there is none, or the library refuses; then what it says is among the assumptions.
    """
    with TemporaryDirectory(prefix="omniplan-") as folder:
        asked = next((one for one in _installed(Path(folder)) if knows(one, model.arch)), None)
        if asked is None:
            return priced
        try:
            tally = simulate(model, machine, args, env=env, timeout=_SECONDS, library=asked)
        except (Refused, InputError) as error:
            refused = Assumption(subject=ARCHITECTURE, statement=f"the library refuses: {error}", source=asked.source)
            return replace(priced, assumptions=(*priced.assumptions, refused))
    return _priced(model.arch, machine, parse(args, env=env), priced, asked, tally)


def _installed(folder: Path) -> Iterator[Library]:
    """The libraries that can be asked here, the newest that has its own declarations first."""
    try:
        where = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        pass
    else:
        number = int(where.version.rpartition(".")[2])
        yield find(str(where.locate_file(_PACKAGE.replace("-", "_"))), folder, build=number)
    if library.is_available():
        yield library.pinned()


def knows(asked: Library, arch: str) -> bool:
    """Whether the name of an architecture is among the texts of a library's objects."""
    return any(arch.encode() + b"\0" in path.read_bytes() for path in Path(asked.path).parent.glob("*.so*"))


def _priced(
    arch: str, machine: Machine, params: ServerParams, priced: Footprint, asked: Library, tally: Tally
) -> Footprint:
    contexts = {ContextKind.MAIN: tally.buffers, **tally.beside}
    sizes = sum_of(contexts.values())
    own = Assumption(
        subject=ARCHITECTURE,
        statement=f"{arch} is counted by the library itself, but for the GPUs' kernels, paddings and fusions",
        source=asked.source,
    )
    about = (f"architecture {arch}", f"graph of {arch}")
    return replace(
        priced,
        build=PricedBuild(asked=priced.build.asked, priced=f"b{asked.build}"),
        layers=tally.layers,
        contexts=contexts,
        buffers=sizes,
        graph_splits=tally.graph_splits,
        pools=tuple(pools(machine, sizes)),
        n_ctx=tally.n_ctx or priced.n_ctx,
        sched_copies=tally.sched_copies or priced.sched_copies,
        compute_parts={},
        assumptions=(*(item for item in priced.assumptions if item.subject not in about), own),
        unpriced=tuple(item for item in priced.unpriced if item.subject != ARCHITECTURE),
        process=process(machine, params, contexts),
    )
