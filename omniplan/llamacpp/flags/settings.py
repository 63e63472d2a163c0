"""How each flag, once its value is read, changes ``ServerParams`` (the handlers of common/arg.cpp, b11434)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

from omniplan.domain.params import (
    MAX_DEVICES,
    NEVER_SHRINK,
    FlashAttn,
    KvOverride,
    LazyMode,
    LoadMode,
    Numa,
    Override,
    ScaledFile,
    ServerParams,
    SplitMode,
)
from omniplan.llamacpp.flags.numbers import atof, atol, stof, stoul
from omniplan.llamacpp.flags.overrides import cpu_moe, n_cpu_ffn, n_cpu_moe, parse_overrides
from omniplan.llamacpp.flags.table import FlagRow
from omniplan.units import MIB

Value = int | float | bool | str
Setter = Callable[[ServerParams, FlagRow, Value], ServerParams]


def change(params: ServerParams, row: FlagRow, value: Value) -> ServerParams:
    """``params`` after the flag ``row`` with ``value`` (a bool for a flag without one); ``ValueError`` if bad."""
    params = (_turn if row.turns else _SETTERS.get(row.key, _assign))(params, row, value)
    for param, implied in row.sets.items():
        params = _set(params, param, implied)
    return params


def _assign(params: ServerParams, row: FlagRow, value: Value) -> ServerParams:
    """Set the field the row names; a flag without a field is only remembered, as it was spelled."""
    if row.param:
        return _set(params, row.param, value)
    name = row.negation if value is False else row.name
    return replace(params, extra=(*params.extra, (name, "" if isinstance(value, bool) else str(value))))


def _turn(params: ServerParams, row: FlagRow, value: Value) -> ServerParams:
    """The field's value as the flag changes it, whatever was said before."""
    now = _get(params, row.param)
    return _set(params, row.param, type(now)(row.turned(str(now), bool(value))))


def _set(params: ServerParams, param: str, value: object) -> ServerParams:
    # Field names come from the table, so the types of these two calls are checked by test_flags, not by mypy.
    group, _, name = param.rpartition(".")
    changes: dict[str, Any] = {name: value}
    if group:
        changes = {group: replace(getattr(params, group), **changes)}
    return replace(params, **changes)


def _get(params: ServerParams, param: str) -> Any:
    return attrgetter(param)(params)


def _word(kind: type) -> Setter:
    return lambda params, row, value: _set(params, row.param, kind(value))


def _n_ctx(params: ServerParams, _: FlagRow, value: Value) -> ServerParams:
    n_ctx = int(value)
    return replace(params, n_ctx=n_ctx, n_ctx_given=True, fit_ctx=NEVER_SHRINK if n_ctx == 0 else params.fit_ctx)


def _threads(params: ServerParams, row: FlagRow, value: Value) -> ServerParams:
    return _set(params, row.param, max(int(value), 0))


def _fractions(text: str) -> list[str]:
    """Items between runs of commas and slashes; a trailing separator adds none, a leading one an empty item."""
    items = re.split("[,/]+", text)
    items = items[:-1] if len(items) > 1 and not items[-1] else items
    if len(items) >= MAX_DEVICES:
        raise ValueError(f"{len(items)} values, but llama.cpp takes at most {MAX_DEVICES - 1}")
    return items


def _tensor_split(params: ServerParams, _: FlagRow, value: Value) -> ServerParams:
    return replace(params, tensor_split=tuple(stof(item) for item in _fractions(str(value))))


def _fit_target(params: ServerParams, _: FlagRow, value: Value) -> ServerParams:
    # One margin is for every device; several change only the first ones (size_t arithmetic, so it wraps).
    margins = tuple(stoul(item) * MIB % 2**64 for item in _fractions(str(value)))
    if len(margins) == 1:
        return replace(params, fit_target=margins * MAX_DEVICES)
    return replace(params, fit_target=margins + params.fit_target[len(margins) :])


def _devices(params: ServerParams, row: FlagRow, value: Value) -> ServerParams:
    return _set(params, row.param, () if value == "none" else tuple(str(value).split(",")))


def _mmproj_device(params: ServerParams, _: FlagRow, value: Value) -> ServerParams:
    if value == "none":
        return replace(params, mmproj_device=None, mmproj_offload=False)
    if "," in str(value):
        raise ValueError("only one device may be named")
    return replace(params, mmproj_device=str(value), mmproj_offload=True)


def _add_overrides(make: Callable[[Any], tuple[Override, ...]]) -> Setter:
    return lambda params, row, value: _set(params, row.param, _get(params, row.param) + make(value))


def _spec_types(params: ServerParams, row: FlagRow, value: Value) -> ServerParams:
    # Values accumulate; "none" drops what stands before it in the same value and adds nothing itself.
    names: list[str] = []
    for name in str(value).split(","):
        if name == "none":
            return params
        if name not in row.choices:
            raise ValueError(f"'{name}' is not a kind of speculation it knows")
        names.append(name)
    return replace(params, spec_types=(*params.spec_types, *names))


def _csv(text: str) -> list[str]:
    """Comma-separated fields; double quotes hold commas and, doubled, quotes (common/arg.cpp: ``parse_csv_row``)."""
    fields, field, quoted, skip = [], "", False, False
    for at, char in enumerate(text):
        if skip:
            skip = False
        elif char == '"' and quoted and text[at + 1 : at + 2] == '"':
            field, skip = field + '"', True
        elif char == '"' and (quoted or not field):
            quoted = not quoted
        elif char == "," and not quoted:
            fields.append(field)
            field = ""
        else:
            field += char
    return [*fields, field]


# llama_model_kv_override holds key and text in 128 bytes each, the final zero included.
_KV_LENGTH: Final = 127
_BOOLEANS: Final = {"true": True, "false": False}


def _kv_override(item: str) -> KvOverride:
    key, _, rest = item.partition("=")
    kind, colon, text = rest.partition(":")
    if not colon or kind not in _KV_VALUES:
        raise ValueError(f"'{item}' is not KEY=TYPE:VALUE with TYPE int, float, bool or str")
    return KvOverride(_short(key), _KV_VALUES[kind](text))


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError(f"'{text}' is neither true nor false")
    return _BOOLEANS[text]


def _short(text: str) -> str:
    if len(text.encode()) > _KV_LENGTH:
        raise ValueError(f"'{text[:20]}...' is longer than {_KV_LENGTH} characters")
    return text


_KV_VALUES: Final[dict[str, Callable[[str], Value]]] = {
    "int": atol,
    "float": atof,
    "bool": _boolean,
    "str": _short,
}


def _override_kv(params: ServerParams, _: FlagRow, value: Value) -> ServerParams:
    return replace(params, override_kv=params.override_kv + tuple(_kv_override(item) for item in _csv(str(value))))


def _scaled_file(item: str) -> ScaledFile:
    path, _, scale = item.partition(":")
    if item.count(":") != 1:
        raise ValueError(f"'{item}' is not FNAME:SCALE")
    return ScaledFile(path, stof(scale))


def _add_files(read: Callable[[str], ScaledFile]) -> Setter:
    return lambda params, row, value: _set(
        params, row.param, (*_get(params, row.param), *(read(item) for item in _csv(str(value))))
    )


_SETTERS: Final[Mapping[str, Setter]] = {
    "control-vector": _add_files(ScaledFile),
    "control-vector-scaled": _add_files(_scaled_file),
    "cpu-moe": _add_overrides(lambda _: cpu_moe()),
    "ctx-size": _n_ctx,
    "device": _devices,
    "fit": lambda params, _, value: replace(params, fit=value == "on"),
    "fit-ctx": lambda params, _, value: replace(params, fit_ctx=int(value) % 2**32),
    "fit-target": _fit_target,
    "flash-attn": _word(FlashAttn),
    "lazy-mode": _word(LazyMode),
    "load-mode": _word(LoadMode),
    "lora": _add_files(ScaledFile),
    "lora-scaled": _add_files(_scaled_file),
    "mmproj-device": _mmproj_device,
    "n-cpu-ffn": _add_overrides(n_cpu_ffn),
    "n-cpu-moe": _add_overrides(n_cpu_moe),
    "numa": _word(Numa),
    "override-kv": _override_kv,
    "override-tensor": _add_overrides(parse_overrides),
    "rpc": lambda params, _, value: replace(params, rpc=(*params.rpc, *str(value).split(","))),
    "spec-default": lambda params, *_: replace(params, spec_types=(*params.spec_types, "ngram-mod")),
    "spec-draft-cpu-moe": _add_overrides(lambda _: cpu_moe()),
    "spec-draft-device": _devices,
    "spec-draft-n-cpu-moe": _add_overrides(n_cpu_moe),
    "spec-draft-override-tensor": _add_overrides(parse_overrides),
    "spec-type": _spec_types,
    "split-mode": _word(SplitMode),
    "tensor-split": _tensor_split,
    "threads": _threads,
    "threads-batch": _threads,
}
