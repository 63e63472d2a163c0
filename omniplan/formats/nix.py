"""Nix: lists of strings, and strings that are command lines or scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from omniplan.formats.command import Tool
from omniplan.formats.contents import Contents, together
from omniplan.formats.launchers import started
from omniplan.formats.programs import Launched, has_model, is_likely, is_named
from omniplan.formats.shell.script import read_script
from omniplan.formats.starts import of_started
from omniplan.formats.traced import LONGEST, Source, Traced

_TOKEN: Final = re.compile(
    r"""(?P<comment>\#[^\n]*|/\*[\s\S]*?\*/)
  | ''(?P<block>(?:[^']|'(?!')|''['$\\])*)''
  | "(?P<string>(?:[^"\\]|\\[\s\S])*)"
  | (?P<open>\[)
  | (?P<close>\])
  | (?P<name>[A-Za-z_][\w.'-]*)
  | (?P<number>\d+)
  | (?P<other>[\s\S])""",
    re.VERBOSE,
)
_HOLE: Final = re.compile(r"\$\{([^{}]*)\}")
# Where NixOS's service takes arguments of llama-server (services.llama-cpp).
_FLAGS: Final = re.compile(r"extraFlags\s*=\s*$")


def read(source: Source) -> Contents:
    """What the strings and lists of an expression start."""
    lists: list[list[Traced]] = []
    flags: list[list[Traced]] = []
    scripts: list[Traced] = []
    inside: list[Traced] | None = None
    for match in _TOKEN.finditer(source.text, 0, LONGEST):
        kind = match.lastgroup or "other"
        if kind == "open":
            inside = []
            (flags if _FLAGS.search(source.text, max(0, match.start() - 40), match.start()) else lists).append(inside)
        elif kind == "close":
            inside = None
        elif kind in {"string", "block"}:
            text = _filled(source.span(*match.span(kind)))
            if inside is not None:
                inside.append(text)
            elif " " in text.text.strip():
                scripts.append(text)
    return together(
        (*_lists(source, lists), *_service(source, flags), *(read_script(source.inside(text)) for text in scripts))
    )


def _lists(source: Source, lists: list[list[Traced]]) -> Iterator[Contents]:
    for words in lists:
        found = of_started(source, started(words)) if len(words) > 1 else Contents()
        yield found
        if not found.commands:
            yield from (read_script(source.inside(word)) for word in words if " " in word.text.strip())


def _service(source: Source, flags: list[list[Traced]]) -> Iterator[Contents]:
    """The arguments of ``services.llama-cpp``, which names its model elsewhere."""
    for words in flags:
        texts = [word.text for word in words]
        if texts and is_named(source.text) and (has_model(texts) or is_likely(["-m", *texts])):
            program = Traced().saying("llama-server")
            model = (Traced().saying("-m"), Traced().saying("model").opened()) if not has_model(texts) else ()
            item = Launched(program=program, tool=Tool.SERVER, words=(*model, *words))
            yield of_started(source, item, line=source.line_of(words[0]))


def _filled(text: Traced) -> Traced:
    """``text`` with what Nix computes open; a package's own program stays readable."""
    found = text.replaced(re.compile(r"''(?=\$)"), lambda _: Traced())
    return found.replaced(_HOLE, lambda match: found.slice(*match.span()).saying(re.sub(r"\W", "_", match[0])).opened())
