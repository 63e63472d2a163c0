"""A finished search as a plan: facts of the model, price, predicted speed, reasons and assumptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from omniplan.domain.evidence import Assumption
from omniplan.domain.footprint import Footprint
from omniplan.domain.model import Model
from omniplan.domain.plan import Baseline, Margin, ModelFacts, Plan
from omniplan.llamacpp.footprint import RAM
from omniplan.search.advice import environment_of, machine_reasons, thread_args
from omniplan.search.arguments import Candidate
from omniplan.search.timing import cost_of_moving, speed

if TYPE_CHECKING:
    from omniplan.search.planner import Ladder

LLAMA_CPP: Final = "b11434"


def plan_of(ladder: Ladder, candidate: Candidate, priced: Footprint, baselines: dict[str, Baseline]) -> Plan:
    """The plan a search ends with: its price, its predicted speed, its reasons."""
    from omniplan import __version__

    args = (*candidate.args, *thread_args(ladder.machine, priced))
    prediction = speed(ladder, args, priced)
    if candidate.moved:
        ladder.reporter.note(cost_of_moving(ladder, candidate, args, priced, prediction))
    margins: tuple[Margin, ...] = ladder.limits.margins(priced, candidate.prompt_cache)
    return Plan(
        version=__version__,
        llama_cpp=LLAMA_CPP,
        model=_facts(ladder.model),
        machine=ladder.machine,
        request=ladder.request,
        strategy=candidate.strategy,
        server_args=args,
        environment=dict(environment_of(ladder.machine)),
        footprint=priced,
        prediction=prediction,
        margins=margins,
        reasons=(
            *ladder.reporter.reasons(candidate, priced, margins),
            *machine_reasons(ladder.machine, priced),
        ),
        assumptions=(*priced.assumptions, *_assumptions(ladder)),
        baselines=baselines,
    )


def _facts(model: Model) -> ModelFacts:
    h, header = model.hparams, model.header
    return ModelFacts(
        path=header.paths[0],
        name=str(header.metadata.get("general.name", "")),
        architecture=model.arch,
        n_layer=h.n_layer,
        n_layer_nextn=h.n_layer_nextn,
        n_expert=h.n_expert,
        n_expert_used=max(h.n_expert_used),
        n_ctx_train=h.n_ctx_train,
        tensor_bytes=header.tensor_bytes,
        header_only=header.header_only,
    )


def _assumptions(ladder: Ladder) -> Iterator[Assumption]:
    if not ladder.request.n_ctx_given:
        yield Assumption(
            subject="context",
            statement=f"{ladder.request.n_ctx:,} tokens in total, since none was asked for; say --ctx N for another",
            source="omniplan default: the training context, at most 32,768",
        )
    for gpu in ladder.machine.gpus:
        if gpu.bandwidth is None and len(ladder.machine.gpus) > 1:
            yield Assumption(
                subject=gpu.name,
                statement="memory bandwidth unknown: counted as equal to other unknown GPUs when layers are divided",
                source="machine description",
            )
    if ladder.machine.memory is None:
        yield Assumption(
            subject=RAM,
            statement="RAM unknown: what goes to the CPU was not checked against it",
            source="machine description",
        )
