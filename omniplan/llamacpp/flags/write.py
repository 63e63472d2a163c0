"""``ServerParams`` to llama-server's command line: what ``args.parse`` reads, written as short as it goes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from operator import attrgetter, eq
from typing import Any, Final

from omniplan.domain.params import (
    NEVER_SHRINK,
    KvOverride,
    Override,
    ScaledFile,
    ServerParams,
)
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.numbers import stof
from omniplan.llamacpp.flags.overrides import cpu_moe, n_cpu_ffn, n_cpu_moe
from omniplan.llamacpp.flags.table import FlagRow, ValueKind, spellings
from omniplan.units import MIB

# In the order in which a reader asks: what is served, where it lies, how the host takes part, then the rarer things.
# "-lm" and "-fit" would be shorter and say less.
_ORDER: Final = (
    "-m", "-c", "-np", "-kvu", "--kv-unified-per-slot", "-ctk", "-ctv", "-fa", "-b", "-ub", "--swa-full", "-ngl", "-sm",
    "-mg", "-dev", "--rpc", "-ts", "-ot", "-kvo", "--fit", "-fitt", "-fitc", "-cram", "-ctxcp", "--load-mode", "-lzm",
    "--no-host", "--repack", "--op-offload", "--moe-cache-mib", "-t", "-tb", "--numa", "-mm", "--mmproj-auto", "-mmdev",
    "--mmproj-offload", "--image-min-tokens", "--image-max-tokens", "--spec-type", "-md", "-ngld", "-devd", "-otd",
    "-ctkd", "-ctvd", "--spec-draft-n-max", "--spec-draft-n-min", "--spec-ngram-simple-size-m",
    "--spec-ngram-map-k-size-m", "--spec-ngram-map-k4v-size-m", "--spec-ngram-mod-n-max", "-bs", "--lora",
    "--lora-init-without-apply", "--control-vector", "--override-kv", "--embedding", "--pooling",
)  # fmt: skip


def write(params: ServerParams, *, said: Collection[str] = ()) -> tuple[str, ...]:
    """The shortest arguments that ``parse`` makes ``params`` of, under their ``build`` and without their ``env``.

    Fields in ``said`` are written even where llama-server has that value by itself.
    """
    extra = tuple(_extra(params.extra))
    usual = parse(extra, build=params.build)
    rows = ((name, spellings()[name]) for name in _ORDER)
    return (*extra, *(word for name, row in rows for word in _written(params, usual, row, name, said)))


def override_text(override: Override) -> str:
    """One item of ``-ot``."""
    return f"{override.pattern}={override.buffer_type}"


def _written(
    params: ServerParams, usual: ServerParams, row: FlagRow, name: str, said: Collection[str]
) -> Iterator[str]:
    value, before = _get(params, row.param), _get(usual, row.param)
    if row.param == "n_ctx":
        is_due = params.n_ctx_given
    elif row.param == "fit_ctx":
        # -c 0 has said it.
        is_due = value != (NEVER_SHRINK if params.n_ctx_given and params.n_ctx == 0 else before)
    else:
        is_due = value != before
    if not is_due and row.param not in said:
        return
    if row.param in _WORDS:
        yield from _WORDS[row.param](name, value, before)
    elif row.kind is ValueKind.NONE:
        yield name if value else row.negated[0]
    else:
        yield from (name, str(value))


def _get(params: ServerParams, param: str) -> Any:
    return attrgetter(param)(params)


def _extra(extra: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Flags that are only remembered, as they were spelled."""
    for name, value in extra:
        kind = spellings()[name].kind
        yield name
        if kind is not ValueKind.NONE:
            yield from value.split(" ", 1) if kind is ValueKind.PAIR else (value,)


def _joined(name: str, value: Sequence[str], _: object) -> Iterator[str]:
    yield from (name, ",".join(value))


def _devices(name: str, value: Sequence[str], _: object) -> Iterator[str]:
    yield from (name, ",".join(value) if value else "none")


def _overrides(name: str, value: Sequence[Override], _: object) -> Iterator[str]:
    """Neighbours share one -ot, except where a flag of the experts' own says the same."""
    for is_plain, group in groupby(_spelled(name, value), key=lambda words: words[0] == name):
        if is_plain:
            yield from (name, ",".join(text for _, text in group))
        else:
            yield from (word for words in group for word in words)


def _spelled(name: str, rest: Sequence[Override]) -> Iterator[tuple[str, ...]]:
    while rest:
        words, count = _leading(rest) if name == "-ot" else ((), 0)
        yield words or (name, override_text(rest[0]))
        rest = rest[count or 1 :]


def _leading(rest: Sequence[Override]) -> tuple[tuple[str, ...], int]:
    """The flag that says the same as the first overrides, and how many these are; 0 when none does."""
    if rest[0] == cpu_moe()[0]:
        return ("-cmoe",), 1
    for flag, make in (("-ncmoe", n_cpu_moe), ("-ncffn", n_cpu_ffn)):
        if rest[0] == make(1)[0]:
            count = len(list(takewhile(bool, map(eq, rest, make(len(rest))))))
            return (flag, str(count)), count
    return (), 0


def _split(name: str, value: Sequence[float], _: object) -> Iterator[str]:
    yield from (name, ",".join(map(_float32, value)))


def _float32(value: float) -> str:
    """The shortest decimal that is read as ``value``."""
    if value.is_integer() and abs(value) < 2**24:
        return str(int(value))
    return next(text for digits in range(1, 10) if _is_read_as(text := f"{value:.{digits}g}", value))


def _is_read_as(text: str, value: float) -> bool:
    try:
        return stof(text) == value
    except ValueError:
        # Fewer digits of the largest and the least numbers are beyond them.
        return False


def _fit_target(name: str, value: Sequence[int], before: Sequence[int]) -> Iterator[str]:
    """One margin is for every device, several are for the first ones."""
    last = value[-1]
    if last != before[-1]:
        yield from (name, str(last // MIB))
    own = max((at + 1 for at, size in enumerate(value) if size != last), default=0)
    if own:
        # A single value would be for all.
        yield from (name, ",".join(str(size // MIB) for size in value[: max(2, own)]))


def _fit_ctx(name: str, value: int, _: object) -> Iterator[str]:
    yield from (name, str(value if value < 2**31 else value - 2**32))


def _layers(name: str, value: int, _: object) -> Iterator[str]:
    yield from (name, "all" if value == -2 else str(value))


def _files(name: str, value: Sequence[ScaledFile], _: object) -> Iterator[str]:
    """Neighbours share a flag; a scale of one needs none."""
    for is_whole, group in groupby(value, key=lambda file: file.scale == 1):
        texts = (file.path if is_whole else f"{file.path}:{_float32(file.scale)}" for file in group)
        yield from (name if is_whole else f"{name}-scaled", ",".join(map(_quoted, texts)))


def _override_kv(name: str, value: Sequence[KvOverride], _: object) -> Iterator[str]:
    yield from (name, ",".join(_quoted(_kv(item)) for item in value))


def _kv(item: KvOverride) -> str:
    value = str(item.value).lower() if isinstance(item.value, bool) else item.value
    return f"{item.key}={type(item.value).__name__}:{value}"


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"' if {",", '"'} & set(text) else text


_WORDS: Final[Mapping[str, Callable[[str, Any, Any], Iterator[str]]]] = {
    "adapters": _files,
    "control_vectors": _files,
    "devices": _devices,
    "draft.devices": _devices,
    "draft.n_gpu_layers": _layers,
    "draft.overrides": _overrides,
    "fit": lambda name, value, _: iter((name, "on" if value else "off")),
    "fit_ctx": _fit_ctx,
    "fit_target": _fit_target,
    "n_gpu_layers": _layers,
    "override_kv": _override_kv,
    "overrides": _overrides,
    "rpc": _joined,
    "spec_types": _joined,
    "tensor_split": _split,
}
