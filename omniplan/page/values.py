"""What the page asks and what it is answered, as values: JSON on the way, and their schemas make the page's types.

Whatever the page shows is a text or a figure from here, so that it computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from omniplan.documents.record import Record
from omniplan.domain.build import DEFAULT_NAME
from omniplan.domain.request import DEFAULT
from omniplan.report.values import Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuestion(Record):
    """A model, a machine, and what may be moved; the link of a page says all of it.

    ``model`` is a name of the catalogue, or the place of a header that was shown; ``quant`` another mix of
    llama-quantize, "" as the file is. ``machine`` is a profile or words. Of tokens, ``n_ctx`` 0 is the usual context
    and ``n_ubatch`` 0 the fastest micro-batch; ``headroom`` and ``build`` are as the command takes them.
    """

    model: str
    machine: str
    quant: str = ""
    n_ctx: int = 0
    n_parallel: int = DEFAULT.n_parallel
    cache_type: str = DEFAULT.cache_type_k
    n_ubatch: int = DEFAULT.n_ubatch or 0
    headroom: str = "default"
    build: str = DEFAULT_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut(Record):
    """A change that was planned and fits: in words, and the question with it."""

    text: str
    question: PageQuestion


@dataclass(frozen=True, slots=True, kw_only=True)
class PageProblem(Record):
    """Why there is no plan: the line, what else to say, ways out, and the question's field that is wrong, "" if none.

    ``does_not_fit`` tells a refusal from a question nobody can answer.
    """

    text: str
    field: str = ""
    does_not_fit: bool = False
    advice: tuple[str, ...] = ()
    ways: tuple[WayOut, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageChoice(Record):
    """A value of a control and how it is written."""

    value: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer(Record):
    """One answer to a question; a quick one is followed by the one that ``is_last``.

    ``sheet`` draws it, as a report does, ``plan`` is its JSON and ``command`` the line that asks the same in a
    terminal; None and "" where there is a ``problem``. What is known of model and machine is there with both: a
    ``title``, the ``quant`` the model has, the ``contexts`` it may be asked for and the one it was, and ``notes``, what
    was taken for granted of the machine.
    """

    is_last: bool = True
    title: str = ""
    sheet: Sheet | None = None
    plan: str = ""
    command: str = ""
    problem: PageProblem | None = None
    quant: str = ""
    n_ctx: int = 0
    contexts: tuple[PageChoice, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlace(Record):
    """Where a model's headers lie: the address of a ``listing`` to be fetched first, or the ``files``, in order.

    ``name`` is what a question calls it. ``others`` are models of the same repository.
    """

    name: str = ""
    listing: str = ""
    files: tuple[str, ...] = ()
    others: tuple[PageChoice, ...] = ()
    problem: PageProblem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderShown(Record):
    """What came of a header that was shown: read, or wanting ``more`` bytes than it was given, or refused."""

    more: bool = False
    problem: PageProblem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTables(Record):
    """What the page's controls offer, and who answers: the version, and the build of llama.cpp whose bytes count.

    ``start`` is the question of whoever comes without a link.
    """

    version: str
    build: str
    models: tuple[PageChoice, ...]
    gpus: tuple[PageChoice, ...]
    cpus: tuple[PageChoice, ...]
    memories: tuple[PageChoice, ...]
    machines: tuple[PageChoice, ...]
    quants: tuple[PageChoice, ...]
    cache_types: tuple[PageChoice, ...]
    slots: tuple[PageChoice, ...]
    ubatches: tuple[PageChoice, ...]
    headrooms: tuple[PageChoice, ...]
    start: PageQuestion
