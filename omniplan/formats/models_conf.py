"""``models.conf``: sections of ``KEY=value`` lines that a start script reads, kept byte for byte.

Lines are trimmed; empty ones and those that begin with ``#`` are skipped, and ``#`` after a value is part of it. A
header is a whole line ``[id]``. An entry splits at its first ``=`` and is taken as it stands: nothing is quoted or
escaped. What stands before the first header is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from omniplan.documents.text_file import lines_of
from omniplan.errors import InputError
from omniplan.formats import sections, wrapper
from omniplan.formats.command import Command
from omniplan.formats.format import Format, Options, in_container
from omniplan.formats.launch import Launch, commented, printable, rationale, speed_label
from omniplan.formats.sections import Entry, Section
from omniplan.llamacpp.flags.args import Flag, read_flags
from omniplan.llamacpp.flags.dialect import takes

_HEADER: Final = re.compile(r"\[([a-zA-Z0-9_-]+)\]")
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_BLANK: Final = " \t\r\n\v\f"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsConf:
    """A whole file: ``text`` is what was read, byte for byte."""

    text: str
    sections: tuple[Section, ...]

    def section(self, id: str) -> Section:
        """The one section with that id; raises InputError when there is none or more than one."""
        found = sections.named(self.sections, id)
        if not found:
            known = ", ".join(section.id for section in self.sections) or "none"
            raise InputError(f"models.conf: no section [{id}]; there are {known}")
        if len(found) > 1:
            lines = " and ".join(str(section.line) for section in found)
            raise InputError(f"models.conf: section [{id}] stands on lines {lines}; remove one")
        return found[0]

    def put(self, id: str, text: str) -> ModelsConf:
        """The document with ``text`` as its section ``id``: in the place of the old one, else at the end.

        ``text`` has line feeds and brings its own header and comments; it takes the file's line ends. The rest of the
        file does not change. Comments above an old header stay, but for those omniplan wrote itself.
        """
        if not _ID.fullmatch(id):
            raise InputError(f"section {id!r}: expected letters, digits, - and _ only")
        return parse(sections.put(self.text, sections.named(self.sections, id), text))


def parse(text: str) -> ModelsConf:
    """The document that ``text`` is; every text is one."""
    raw = lines_of(text)
    starts = list(accumulate(map(len, raw), initial=0))
    # Where each line begins without its blanks.
    places = [at + len(line) - len(line.lstrip(_BLANK)) for at, line in zip(starts, raw, strict=False)]
    lines = [line.strip(_BLANK) for line in raw]
    headers = [at for at, line in enumerate(lines) if _HEADER.fullmatch(line)]
    ends = [*headers[1:], len(lines)]
    return ModelsConf(
        text=text, sections=tuple(_section(lines, places, at, end) for at, end in zip(headers, ends, strict=False))
    )


def _section(lines: Sequence[str], places: Sequence[int], at: int, end: int) -> Section:
    entries = tuple(_entries(lines, places, at + 1, end))
    last = entries[-1].line if entries else at + 1
    return Section(
        id=lines[at][1:-1],
        line=at + 1,
        last_line=last,
        entries=entries,
        comments=sections.comments_above(lines, at, "#"),
        inner=tuple(_comments(lines, at + 1, last)),
    )


def _entries(lines: Sequence[str], places: Sequence[int], start: int, end: int) -> Iterator[Entry]:
    for at in range(start, end):
        key, equals, value = lines[at].partition("=")
        if equals and not lines[at].startswith("#"):
            yield Entry(key=key, value=value, line=at + 1, start=places[at] + len(key) + 1)


def _comments(lines: Sequence[str], start: int, end: int) -> Iterator[tuple[int, str]]:
    for at in range(start, end):
        if lines[at].startswith("#"):
            yield at + 1, lines[at]


# Flags with a key of their own; the others stand in EXTRA_ARGS.
_KEYS: Final = {"ctx-size": "CTX_SIZE", "gpu-layers": "N_GPU_LAYERS", "fit": "FIT", "fit-target": "FIT_TARGET"}
# The script that runs benchmarks does not pass FIT_TARGET on.
_BENCH_KEYS: Final = {row: key for row, key in _KEYS.items() if key != "FIT_TARGET"}
_BENCH_CONTEXT: Final = 10240

# What the script passes for itself.
_ITS_OWN: Final = frozenset({"model", "host", "port", "ctx-size"})

# What the script, Compose's .env and an unquoted expansion leave alone.
_WORD: Final = re.compile(r"[^\s'\"`$#\x00-\x1f\x7f][^\s'\"`$\x00-\x1f\x7f]*")
_PATTERN: Final = frozenset("*?[")


def section(item: Launch, options: Options) -> str:
    """One section with its comments; ``item`` is prepared. Raises InputError for what it cannot carry."""
    del options
    flags = (*item.flags, *_undone(item.flags))
    keys = _BENCH_KEYS if item.id.startswith("bench-") else _KEYS
    extra = [arg for flag in flags if flag.row.key not in keys for arg in flag.args]
    for word in extra:
        if not _WORD.fullmatch(word):
            raise InputError(
                f"models.conf: {printable(word)}: EXTRA_ARGS hold no quotes, $ or white space; use the format shell"
            )
    values = {keys[flag.row.key]: " ".join(flag.values) for flag in flags if flag.row.key in keys}
    entries = [*_labels(item), f"MODEL={_model(item)}", *(f"{key}={value}" for key, value in values.items())]
    return "\n".join((*_banner(item), f"[{item.id}]", *entries, f"EXTRA_ARGS={' '.join(extra)}", ""))


def _model(item: Launch) -> str:
    path = item.inside.removeprefix(wrapper.MODELS)
    if not _WORD.fullmatch(path) or _PATTERN & set(path):
        raise InputError(
            f"models.conf: model {printable(path)}: a path here holds no quotes, $, *, ?, [ or white space; "
            f"rename the file"
        )
    return path


def _labels(item: Launch) -> Iterator[str]:
    name = printable(item.plan.model.name or item.id)
    if item.id.startswith("bench-"):
        yield f"NAME={name} (benchmark)"
        return
    yield f"NAME={name}"
    yield f"DESCRIPTION={printable(item.plan.strategy)}"
    yield f"SPEED={speed_label(item.plan)}"


def _banner(item: Launch) -> list[str]:
    lines = [*rationale(item), "NOT YET TESTED - run it and compare the startup log"]
    if item.environment:
        lines.append("models.conf has no key for the environment above: set it in the Compose file")
    rule = "-" * 78
    return commented([*lines[:1], rule, *lines[1:], rule])


def _undone(flags: Sequence[Flag]) -> Iterator[Flag]:
    """llama-server's own defaults for what the script would pass and the plan leaves alone."""
    given = {flag.row.key for flag in flags} | _ITS_OWN
    for flag in read_flags(wrapper.variables_command({}).args):
        row = flag.row
        if row.key not in given and (str(row.default),) != flag.values:
            yield Flag(row=row, name=row.names[0], values=(str(row.default),))


def prepare(item: Launch, options: Options) -> Launch:
    """The launch inside the script's container; a benchmark's context is the one all benchmarks have."""
    if not takes(("--fit", "on", "--flash-attn", "on"), item.build):
        raise InputError(
            f"models.conf: its script passes --fit and --flash-attn on, which {item.build.name} does not take; "
            f"use the format shell"
        )
    inside = in_container(item, options)
    return _bench(inside) if item.id.startswith("bench-") else inside


def _bench(item: Launch) -> Launch:
    if item.plan.settings.n_ctx < _BENCH_CONTEXT:
        raise InputError(f"section {item.id}: benchmarks have a context of {_BENCH_CONTEXT}; plan with at least that")
    args: list[str] = []
    for flag in read_flags(item.args):
        args += (flag.name, str(_BENCH_CONTEXT)) if flag.row.key == "ctx-size" else flag.args
    return item.with_args(*args)


def write(items: Sequence[Launch], options: Options) -> str:
    """A file of sections."""
    return "\n".join(section(item, options) for item in items)


def put(text: str, item: Launch, options: Options) -> str:
    """``text`` with the section in the place of the one with its id, or at the end."""
    return parse(text).put(item.id, section(item, options)).text


def read(text: str) -> Sequence[Command]:
    """llama-server's command for every section, by the script's rules."""
    return [wrapper.section_command(section) for section in parse(text).sections]


FORMAT: Final = Format(
    name="models.conf", write=write, read=read, prepare=prepare, put=put, is_exact=False, carries_environment=False
)
