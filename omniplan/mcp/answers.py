"""What the tools answer: short values with their units in their names, which the protocol's schemas are made from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from omniplan.check.values import CheckReport
from omniplan.domain.footprint import Footprint
from omniplan.domain.plan import Plan
from omniplan.domain.prediction import Estimate
from omniplan.errors import Infeasible
from omniplan.planning.recommendation import QuantOption, Recommendation
from omniplan.text.argv import shell_line


class ToolAnswer(BaseModel):
    """A value that the SDK makes a schema of."""

    model_config = ConfigDict(frozen=True)


class Predicted(ToolAnswer):
    """A predicted number; eight of ten measured ones lie between low and high."""

    low: float
    value: float
    high: float

    @classmethod
    def of(cls, found: Estimate) -> Predicted:
        """Three digits, as everywhere."""
        low, value, high = (float(f"{end:.3g}") for end in (found.low, found.value, found.high))
        return cls(low=low, value=value, high=high)


class MemoryUse(ToolAnswer):
    """One memory of the machine in bytes: a GPU by llama.cpp's name, or RAM; free is None where nobody knows it."""

    name: str
    used: int
    free_before: int | None


def memories(priced: Footprint) -> list[MemoryUse]:
    """Every memory that a process takes of."""
    return [MemoryUse(name=pool.label, used=pool.used, free_before=pool.free) for pool in priced.pools]


class Planned(ToolAnswer):
    """A plan. ``fits`` is None where it is not known. Where it does not fit, ``why`` says what is missing and helps."""

    fits: bool | None
    command: str = ""
    decode_tokens_per_second: Predicted | None = None
    prompt_tokens_per_second: Predicted | None = None
    memory: list[MemoryUse]
    n_ctx: int = 0
    strategy: str = ""
    why: list[str]
    assumptions: list[str]
    llama_cpp: str = ""

    @classmethod
    def of(cls, plan: Plan) -> Planned:
        """The part of a plan that answers the question."""
        speeds, said = plan.prediction, [*plan.assumptions]
        return cls(
            fits=plan.footprint.fits,
            command=shell_line(plan.model.path, plan.server_args, plan.environment, plan.llama_cpp),
            decode_tokens_per_second=Predicted.of(speeds.decode_tokens_per_second),
            prompt_tokens_per_second=Predicted.of(speeds.prompt_tokens_per_second),
            memory=memories(plan.footprint),
            n_ctx=plan.footprint.n_ctx,
            strategy=plan.strategy,
            why=[f"{reason.subject}: {reason.statement}" for reason in plan.reasons],
            assumptions=[*(f"{each.subject}: {each.statement}" for each in said), *speeds.assumptions],
            llama_cpp=plan.llama_cpp,
        )

    @classmethod
    def refused(cls, refusal: Infeasible) -> Planned:
        """Nothing fits: what is missing, and what would."""
        return cls(fits=False, memory=[], why=[str(refusal)], assumptions=[])


class Priced(ToolAnswer):
    """What one command takes. ``short_by`` is bytes by memory; ``layers`` is the device of each, the output last."""

    fits: bool | None
    memory: list[MemoryUse]
    short_by: dict[str, int]
    layers: list[str]
    n_ctx: int
    not_priced: list[str]
    assumptions: list[str]
    llama_cpp: str

    @classmethod
    def of(cls, priced: Footprint) -> Priced:
        """The part of a footprint that answers the question."""
        return cls(
            fits=priced.fits,
            memory=memories(priced),
            short_by=dict(priced.shortfall),
            layers=list(priced.layers),
            n_ctx=priced.n_ctx,
            not_priced=[str(each) for each in priced.unpriced],
            assumptions=[f"{each.subject}: {each.statement}" for each in priced.assumptions],
            llama_cpp=priced.llama_cpp,
        )


class Fault(ToolAnswer):
    """One finding: where it stands, what is wrong and what mends it."""

    line: int
    severity: str
    rule: str
    message: str
    fix: str


class Checked(ToolAnswer):
    """What is wrong with a text. ``fits`` says whether all commands fit, None where that is not known."""

    fits: bool | None
    n_commands: int
    faults: list[Fault]

    @classmethod
    def of(cls, report: CheckReport) -> Checked:
        """The findings, in the order of the text."""
        faults = [
            Fault(line=each.line, severity=each.severity, rule=each.rule, message=each.message, fix=each.fix)
            for each in report.findings
        ]
        return cls(fits=report.fits, n_commands=report.n_commands, faults=faults)


class Option(ToolAnswer):
    """One model or quant; speeds are None where it does not fit, and ``why_not`` says why."""

    model: str
    quant: str
    file_bytes: int
    is_estimate: bool
    n_ctx: int
    decode_tokens_per_second: Predicted | None
    perplexity_loss: float | None
    why_not: str

    @classmethod
    def of(cls, option: QuantOption) -> Option:
        """One row."""
        found = option.outcome
        return cls(
            model=option.path,
            quant=option.quant,
            file_bytes=option.file_bytes,
            is_estimate=option.is_estimate,
            n_ctx=option.n_ctx,
            decode_tokens_per_second=Predicted.of(found.decode_tokens_per_second) if found else None,
            perplexity_loss=option.quality.loss if option.quality else None,
            why_not=option.why_not,
        )


class Ranked(ToolAnswer):
    """Every option, best first; ``why`` says why the first is the one to take."""

    why: str
    options: list[Option]
    left_out: list[str]

    @classmethod
    def of(cls, found: Recommendation) -> Ranked:
        """The ranking."""
        return cls(
            why=found.why,
            options=[Option.of(option) for option in found.options],
            left_out=[f"{each.path}: {each.reason}" for each in found.left_out],
        )
