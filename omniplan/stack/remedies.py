"""What would make a group fit: changes of its members, alone or together, in order of what they lose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import combinations, islice, product
from typing import Final

from omniplan.domain.defaults import DEFAULT_CONTEXT
from omniplan.domain.footprint import RAM
from omniplan.domain.model import Model
from omniplan.domain.params import LEAST_CONTEXT
from omniplan.errors import InputError, UnsupportedModel
from omniplan.llamacpp.quant.quality import loss_of, mixes
from omniplan.llamacpp.quant.requantise import requantise
from omniplan.predict.processor import ram_bandwidth
from omniplan.predict.rates import assumed_gpu_bandwidth
from omniplan.stack.asked import ANY_GPU, External, Group, On, StackModel
from omniplan.stack.joint import Choice, JointProblem, Together, least_missing, solve
from omniplan.stack.options import StackOption
from omniplan.stack.pools import UNKNOWN, Need, total
from omniplan.stack.search import Search
from omniplan.stack.values import GroupResult, PoolUse, Remedy, Share

# Members changed at once, and ways out that are told.
_MOST_CHANGED: Final = 3
_MOST_TOLD: Final = 8
# A mix is smaller below this share of the bits per weight; a model's own mix of types may come out this much under it:
# of 264 pairs of a model and a mix 99 in 100 have at least 0.92 of the bits that the mix has on average.
_SMALLER: Final = 0.95
_UNDER: Final = 0.9
# Combinations of so many members that are looked at.
_MOST_TRIED: Final = 300
_KV: Final = "q8_0"
_KV_BITS: Final = 8.5


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of one member: what is left of its value beside speed, and its needs and seconds afterwards.

    ``needs`` may be optimistic where ``exact`` gives the real ones; () is a member that is out. ``factor`` is what is
    left of an external entry's speed, which nobody priced.
    """

    name: str
    text: str
    value: float
    needs: tuple[tuple[Need, int], ...]
    exact: Callable[[], Sequence[StackOption]] | None = None

    @cached_property
    def least(self) -> Need:
        """The least of its needs in every dimension; () of a member that is out."""
        return _least(self.needs)


def _least(needs: Sequence[tuple[Need, int]]) -> Need:
    return tuple(map(min, zip(*(need for need, _ in needs), strict=True)))


def refused(search: Search, group: Group) -> GroupResult:
    """A group that does not fit: what is missing, and ways out; neither where only other groups stand in it."""
    if search.fits_alone(group):
        return GroupResult(name=group.name, members=group.members, fits=False)
    ways = _Ways(search, group)
    return GroupResult(
        name=group.name,
        members=group.members,
        fits=False,
        needed=ways.needed(),
        pools=ways.pools(),
        shortfall=ways.missing(()),
        remedies=tuple(ways.remedies()),
    )


class _Ways:
    """One group's members as they are and as they could be."""

    def __init__(self, search: Search, group: Group) -> None:
        self.search = search
        self.group = group
        self.models = [search.requests[name] for name in group.members if name in search.requests]
        self.externals = [entry for entry in search.asked.externals if entry.name in group.members]
        self.options = {model.name: self._options(model) for model in self.models}
        self.now = {name: tuple((o.need, o.cost) for o in found) for name, found in self.options.items()}
        self.now |= {entry.name: ((search.fixed[entry.name], 0),) for entry in self.externals}
        self.least = {name: _least(needs) for name, needs in self.now.items()}
        self.best = {name: min((cost for _, cost in needs), default=0) for name, needs in self.now.items()}

    def _options(self, model: StackModel) -> Sequence[StackOption]:
        """Places of a model; where there are none, the one in more RAM, or on more of the GPUs, than there is."""
        found = self.search.options[model.name]
        if found:
            return found
        room = (*self.search.pools.capacity[: len(self.search.pools.names) - 1], UNKNOWN)
        free = replace(model, on=On.ANY) if model.on is On.GPU else model
        option = self.search.offers.offer(self.search.models[model.name], free, room)
        if option is not None and model.on is On.GPU:
            shares = (_on_any_gpu(option.shares),)
            option = replace(option, shares=shares, need=self.search.pools.need(shares))
        return [] if option is None else [option]

    def needed(self) -> Mapping[str, int]:
        """Bytes of each member where it is fastest; of an external entry what it states."""
        return {name: min(needs, key=lambda item: item[1])[0][-1] if needs else 0 for name, needs in self.now.items()}

    def pools(self) -> tuple[PoolUse, ...]:
        """The pools that the members may lie on."""
        on_gpus = all(item.on is On.GPU for item in self.models) and all(item.pool != RAM for item in self.externals)
        gpus, pools = self.search.machine.gpus, self.search.pools
        names = {gpu.name for gpu in gpus if on_gpus or not gpu.draws_on_ram} | ({RAM} if not on_gpus else set())
        sizes = zip(pools.names, pools.capacity, strict=False)
        return tuple(PoolUse(pool=name, capacity=size, used=0) for name, size in sizes if name in names)

    def missing(self, changes: Sequence[Change]) -> int:
        """The least bytes that are missing after ``changes``."""
        after = {**self.now, **{change.name: change.needs for change in changes}}
        needs = [[need for need, _ in options] for options in after.values() if options]
        return least_missing(needs, self.search.pools.missing) if needs else 0

    def _least_missing(self, changes: Sequence[Change]) -> int:
        """A bound from below, quickly: every member with its least need in every dimension."""
        after = {**self.least, **{change.name: change.least for change in changes}}
        used = total((need for need in after.values() if need), len(self.search.pools.capacity))
        return self.search.pools.missing(used)

    def remedies(self) -> Iterator[Remedy]:
        """Ways out, least loss first; none that does more than another that is told."""
        changes = {name: [*self._changes(name)] for name in self.group.members}
        found: list[tuple[float, tuple[Change, ...]]] = []
        for count in range(1, _MOST_CHANGED + 1):
            for chosen in islice(self._together(changes, count), _MOST_TRIED):
                if any(set(known) <= set(chosen) for _, known in found) or self.missing(chosen):
                    continue
                real = tuple(_exact(change) for change in chosen)
                if all(change.needs or not change.value for change in real) and not self.missing(real):
                    found.append((self._loss(real), chosen))
                if len(found) >= _MOST_TOLD:
                    break
        found.sort(key=lambda item: (item[0], len(item[1])))
        for loss, chosen in found[:_MOST_TOLD]:
            yield Remedy(changes=tuple(change.text for change in chosen), loss=loss)

    def _together(self, changes: Mapping[str, Sequence[Change]], count: int) -> Sequence[tuple[Change, ...]]:
        """Changes of ``count`` members at once that may be enough, those first that lose least beside speed."""
        members = combinations(self.group.members, count)
        combined = (some for names in members for some in product(*(changes[name] for name in names)))
        chosen = (some for some in combined if not self._least_missing(some))
        return sorted(chosen, key=lambda some: sum(self._priority(item.name) * (1 - item.value) for item in some))

    def _loss(self, changes: Sequence[Change]) -> float:
        """Share of what was asked for that is lost: by priority, of context, quality and speed, all of what is out."""
        after = {**self.now, **{change.name: change.needs for change in changes}}
        left = {name: needs for name, needs in after.items() if needs}
        value = {change.name: change.value for change in changes}
        capacity = self.search.pools.capacity
        joint = solve(
            JointProblem(
                options=[[Choice(cost=cost, need=need) for need, cost in needs] for needs in left.values()],
                groups=[Together(members=frozenset(range(len(left))), capacity=capacity)],
                pair=lambda *_: 0,
            )
        )
        kept = 0.0
        for (name, needs), a in zip(left.items(), joint.chosen, strict=True):
            cost = needs[a][1]
            speed = min(1.0, self.best[name] / cost) if cost and self.best[name] else 1.0
            kept += self._priority(name) * value.get(name, 1.0) * speed
        # Entries of priority 0 are lost without a loss.
        whole = sum(map(self._priority, self.group.members))
        return max(0.0, 1 - kept / whole) if whole else 0.0

    def _priority(self, name: str) -> float:
        asked = {model.name: model.priority for model in self.models}
        return {**asked, **{entry.name: entry.priority for entry in self.externals}}[name]

    def _changes(self, name: str) -> Iterator[Change]:
        if name in self.search.requests:
            yield from self._of_model(self.search.requests[name])
        else:
            yield from self._of_external(next(entry for entry in self.externals if entry.name == name))
        if self.now[name] and any(any(need) for need, _ in self.now[name]):
            yield Change(name=name, text=f"{name} out", value=0.0, needs=())

    def _of_external(self, entry: External) -> Iterator[Change]:
        if not entry.may_use_ram or entry.pool == RAM:
            return
        machine = self.search.machine
        ram = ram_bandwidth(machine)
        vram = max(map(assumed_gpu_bandwidth, machine.gpus), default=ram)
        need = self.search.pools.external(replace(entry, pool=RAM))
        yield Change(name=entry.name, text=f"{entry.name} to the CPU", value=min(1.0, ram / vram), needs=((need, 0),))

    def _of_model(self, model: StackModel) -> Iterator[Change]:
        n_ctx = model.n_ctx or min(self.search.models[model.name].hparams.n_ctx_train, DEFAULT_CONTEXT)
        if model.cache_type_k == model.cache_type_v == "f16":
            asked = replace(model, cache_type_k=_KV, cache_type_v=_KV)
            yield self._asked(asked, f"{model.name} with a {_KV} KV cache", 1 - loss_of(_KV_BITS), _KV_BITS / 16, 1.0)
        for part in (2, 4):
            if n_ctx // part >= LEAST_CONTEXT:
                asked = replace(model, n_ctx=n_ctx // part)
                text = f"{model.name} with {n_ctx // part:,} tokens of context instead of {n_ctx:,}"
                yield self._asked(asked, text, 1 / part, 1 / part, 1 / part)
        if model.on is On.GPU:
            yield self._asked(replace(model, on=On.ANY), f"{model.name} partly or whole on the CPU", 1.0, 0.0, 0.0)
        yield from self._quants(model)

    def _asked(self, model: StackModel, text: str, value: float, context: float, compute: float) -> Change:
        """A change of the request; needs are the least it could come to until it is planned."""
        weights = 0.0 if context == 0 else 1.0
        scaled = [self._scaled(option, weights, context, compute) for option in self.options[model.name]]
        return Change(
            name=model.name,
            text=text,
            value=value,
            needs=tuple(scaled),
            exact=cache(partial(self._planned, self.search.models[model.name], model)),
        )

    def _planned(self, model: Model, request: StackModel) -> Sequence[StackOption]:
        return self.search.offers.options(model, request, self.search.capacity(self.search.always))

    def _quants(self, model: StackModel) -> Iterator[Change]:
        """Smaller mixes of the same model, as llama-quantize would write them."""
        tensors = self.search.models[model.name].header.tensors
        bits = 8 * sum(tensor.nbytes for tensor in tensors) / max(1, sum(tensor.n_elements for tensor in tensors))
        for mix in mixes():
            if mix.bits < _SMALLER * bits:
                ratio = mix.bits / bits
                yield Change(
                    name=model.name,
                    text=f"{model.name} as {mix.name} (about {ratio:.0%} of this file)",
                    value=(1 + loss_of(bits)) / (1 + mix.loss),
                    needs=tuple(self._scaled(option, ratio * _UNDER, 1.0, 1.0) for option in self.options[model.name]),
                    exact=cache(partial(self._requantised, model, mix.name)),
                )

    def _requantised(self, model: StackModel, mix: str) -> Sequence[StackOption]:
        try:
            smaller = requantise(self.search.models[model.name], mix)
        except (InputError, UnsupportedModel):
            return ()
        return self._planned(smaller, model)

    def _scaled(self, option: StackOption, model: float, context: float, compute: float) -> tuple[Need, int]:
        shares = [
            replace(
                share,
                model=int(share.model * model),
                context=int(share.context * context),
                compute=int(share.compute * compute),
            )
            for share in option.shares
        ]
        return self.search.pools.need(shares), round(option.cost * model) or option.cost


def _on_any_gpu(shares: Sequence[Share]) -> Share:
    """All of a model as something that may lie on any GPU."""
    return Share(
        pool=ANY_GPU,
        model=sum(share.model for share in shares),
        context=sum(share.context for share in shares),
        compute=sum(share.compute for share in shares if share.pool != RAM),
        reserve=sum(share.reserve for share in shares),
    )


def _exact(change: Change) -> Change:
    """The change with the needs of real plans, where its own were optimistic."""
    if change.exact is None:
        return change
    return replace(change, needs=tuple((option.need, option.cost) for option in change.exact()), exact=None)
