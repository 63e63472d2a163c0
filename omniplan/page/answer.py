"""Questions of the page to answers: JSON in, JSON out, and whatever a user can act on is an answer too."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final

from omniplan.api.choose import plans
from omniplan.api.source import build_of, load_machine
from omniplan.documents.document import from_text
from omniplan.documents.record import plain
from omniplan.domain.defaults import THIS_HOST
from omniplan.domain.headroom import Headroom
from omniplan.domain.machine import Machine
from omniplan.domain.model import Model
from omniplan.domain.plan import Plan
from omniplan.domain.request import Request, RequestChanges
from omniplan.errors import HeaderError, Infeasible, InputError, OmniplanError, UnsupportedModel
from omniplan.formats.regenerate import plan_words
from omniplan.llamacpp.quant.requantise import quant_name
from omniplan.machines.files import parse_machine
from omniplan.page.headers import Shelf
from omniplan.page.places import place_of
from omniplan.page.values import HeaderShown, ModelPlace, PageAnswer, PageChoice, PageProblem, PageQuestion, WayOut
from omniplan.planning.frontier import usual_contexts
from omniplan.planning.planner import usual_context
from omniplan.report.build import report_of
from omniplan.report.page import report_html
from omniplan.report.plan import plan_sheet
from omniplan.report.values import Sheet
from omniplan.units import gib

_SHELF: Final = Shelf()
# Machine files that were shown, by their names, and how such names end.
_MACHINES: Final[dict[str, Machine]] = {}
_MACHINE_FILES: Final = (".json", ".toml")


def answers(question: str) -> Iterator[str]:
    """The answers to a ``PageQuestion``, each as JSON: a quick one as soon as there is one, then the exact one."""
    try:
        asked = from_text(PageQuestion, question, where="question.json", what="question")
        for answer in _answers(asked):
            yield _written(answer)
    except OmniplanError as error:
        yield _written(PageAnswer(problem=_problem(error)))


def place(text: str, listing: str = "") -> str:
    """The ``ModelPlace`` that ``text`` names, as JSON; ``listing`` is what the address in an earlier one brought."""
    try:
        return place_of(text, listing).to_json()
    except OmniplanError as error:
        return ModelPlace(problem=_problem(error)).to_json()


def show(place: str, file: str, size: int, beginning: bytes | memoryview) -> str:
    """What came of the first bytes of a ``file`` of ``size`` bytes at ``place``: a ``HeaderShown`` as JSON."""
    try:
        return HeaderShown(more=not _SHELF.show(place, file, size, beginning)).to_json()
    except OmniplanError as error:
        return HeaderShown(problem=_problem(error)).to_json()


def show_machine(name: str, text: str) -> str:
    """What came of the machine file ``name``: a ``HeaderShown`` as JSON; a question may then name it as its machine."""
    try:
        _MACHINES[name] = parse_machine(text, where=name)
        return HeaderShown().to_json()
    except OmniplanError as error:
        return HeaderShown(problem=_problem(error)).to_json()


def report(sheet: str) -> str:
    """The report of a plan whose ``sheet`` is given as JSON, as ``--report`` writes it; raises InputError."""
    return report_html(report_of(from_text(Sheet, sheet, where="sheet.json", what="sheet")))


def _written(answer: PageAnswer) -> str:
    """As JSON that nobody reads, without the indentation that takes longer than all the rest."""
    return json.dumps(plain(answer), ensure_ascii=False, separators=(",", ":"))


def _answers(asked: PageQuestion) -> Iterator[PageAnswer]:
    request = _request(asked)
    machine = _MACHINES.get(asked.machine) or _machine(asked.machine)
    model = _SHELF.model(asked.model, asked.quant)
    known = _known(asked, model, machine)
    try:
        for plan in plans(model, machine, request):
            yield replace(
                known,
                is_last=plan.request == request,
                sheet=plan_sheet(plan, model),
                plan=plan.to_json(),
                command=_command(asked, plan),
                n_ctx=plan.settings.n_ctx,
            )
    except Infeasible as refusal:
        yield replace(known, problem=_refused(refusal, asked))


def _request(asked: PageQuestion) -> Request:
    try:
        return Request(
            n_ctx=asked.n_ctx or None,
            n_parallel=asked.n_parallel,
            cache_type_k=asked.cache_type,
            cache_type_v=asked.cache_type,
            n_ubatch=asked.n_ubatch or None,
            headroom=Headroom.parse(asked.headroom),
            build=build_of(asked.build),
        )
    except InputError as error:
        raise InputError(error.problem, field=error.field or "build", value=error.value) from error


@lru_cache
def _machine(words: str) -> Machine:
    if words == THIS_HOST:
        raise InputError("a page does not see the machine it is on; say it in words", field="machine", value=words)
    if words.lower().endswith(_MACHINE_FILES):
        raise InputError("is not at hand; choose the machine file again", field="machine", value=words)
    try:
        return load_machine(words)
    except OmniplanError as error:
        raise InputError(str(error), field="machine") from error


def _known(asked: PageQuestion, model: Model, machine: Machine) -> PageAnswer:
    """What there is to say whether or not it fits."""
    usual = usual_context(model)
    contexts = sorted({*usual_contexts(model.hparams.n_ctx_train), asked.n_ctx or usual})
    return PageAnswer(
        title=f"{model.title} on {asked.machine}",
        quant=quant_name(model.header),
        n_ctx=asked.n_ctx or usual,
        contexts=tuple(PageChoice(value=str(n_ctx), text=f"{n_ctx:,}") for n_ctx in contexts),
        notes=machine.notes,
    )


def _command(asked: PageQuestion, plan: Plan) -> str:
    """What asks the same in a terminal; an estimate of a quant is none of a file."""
    return "" if asked.quant else shlex.join(plan_words(plan.model.path, asked.machine, _request(asked)))


def _problem(error: OmniplanError) -> PageProblem:
    if isinstance(error, InputError):
        return PageProblem(text=error.problem, field=error.field)
    return PageProblem(text=str(error), field="model" if isinstance(error, HeaderError | UnsupportedModel) else "")


def _refused(refusal: Infeasible, asked: PageQuestion) -> PageProblem:
    ways = [way for changes in refusal.remedies if (way := _way(changes, asked))]
    if refusal.quant:
        size = f" ({gib(refusal.quant_bytes)})"
        ways.append(WayOut(text=f"as {refusal.quant}{size}", question=replace(asked, quant=refusal.quant)))
    return PageProblem(text=refusal.summary, does_not_fit=True, advice=refusal.advice, ways=tuple(ways))


def _way(changes: RequestChanges, asked: PageQuestion) -> WayOut | None:
    """The question with ``changes``, those that a page can ask for."""
    match changes:
        case {"n_ctx": int(n_ctx)}:
            return WayOut(text=f"with {n_ctx:,} tokens of context", question=replace(asked, n_ctx=n_ctx))
        case {"cache_types": (str(cache_type), *_)}:
            return WayOut(text=f"with a {cache_type} cache", question=replace(asked, cache_type=cache_type))
    return None
