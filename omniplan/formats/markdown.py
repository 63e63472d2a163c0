"""Markdown: the blocks of code are files of their own, the prose is none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from omniplan.documents.text_file import lines_of
from omniplan.errors import InputError, needs
from omniplan.formats.contents import Contents, Written
from omniplan.formats.traced import Source, Traced, joined

# What a block's language is called as a file; others are not read, none is told by what it says.
_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("", "text", "txt", "plaintext"), "block"),
    **dict.fromkeys(
        ("bash", "sh", "shell", "zsh", "fish", "console", "shellsession", "sh-session", "terminal"), "block.sh"
    ),
    **dict.fromkeys(("powershell", "ps1", "pwsh", "ps"), "block.ps1"),
    **dict.fromkeys(("bat", "batch", "cmd", "dosbatch"), "block.bat"),
    **dict.fromkeys(("yaml", "yml"), "block.yaml"),
    **dict.fromkeys(("json", "jsonc"), "block.json"),
    **dict.fromkeys(("python", "py"), "block.py"),
    **dict.fromkeys(("ini", "conf", "systemd", "service", "quadlet"), "block"),
    **dict.fromkeys(("dockerfile", "docker"), "Dockerfile"),
    "nix": "block.nix",
    "env": "block.env",
    "dotenv": "block.env",
    "makefile": "Makefile",
}
_PROMPT: Final = re.compile(r"^[ \t]*[$#%>][ \t]+(?=\S)")
# Where somebody has to put something of their own.
_PLACEHOLDER: Final = re.compile(r"<[\w ./:|-]+>|\[[\w ./:|=-]+\](?=\s|$)|\.{3}|…")


def read(source: Source, *, where: str = "markdown") -> Contents:
    """The blocks of code, as files of the kind that they say."""
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise InputError(f"{where}: Markdown {needs('markdown-it-py')}") from error
    lines = lines_of(source.text)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    blocks = (token for token in MarkdownIt("commonmark", {"maxNesting": 20}).parse(source.text) if token.map)
    found = []
    for token in blocks:
        if token.type in {"fence", "code_block"}:
            language = (token.info.split() or [""])[0].strip("{}.").lower() if token.type == "fence" else ""
            if (name := _NAMES.get(language)) is not None:
                start, stop = token.map or (0, 0)
                text = joined(_lines(source, token.content, offsets[start], offsets[min(stop, len(lines))]), "")
                found.append(Written(name, text))
    return Contents(files=tuple(found))


def _lines(source: Source, content: str, start: int, stop: int) -> Iterator[Traced]:
    """The lines of a block without what indents and quotes them; of those with a prompt only what is typed."""
    lines = lines_of(content)
    has_prompts = any(line.lstrip().startswith("$ ") for line in lines)
    first = (
        source.text.find("\n", start, stop) + 1
        if source.text[start:stop].lstrip(" >\t").startswith(("`", "~"))
        else start
    )
    at, goes_on = first, False
    for line in lines:
        bare = line.rstrip("\r\n")
        here = source.text.find(bare, at, stop) if bare else at
        here = at if here < 0 else here
        text = source.span(here, here + len(bare))
        at = source.text.find("\n", here, stop) + 1 or stop
        end = source.span(at - 1, at) if source.text[at - 1 : at] == "\n" else Traced()
        prompt = _PROMPT.match(bare) if has_prompts else None
        if has_prompts and not prompt and not goes_on:
            yield end
            continue
        goes_on = bare.endswith("\\")
        yield _with_places(text.slice(prompt.end() if prompt else 0))
        yield end


def _with_places(text: Traced) -> Traced:
    """A line in which a word stands for what somebody has to put in."""
    return text.replaced(_PLACEHOLDER, lambda match: text.slice(*match.span()).opened().saying("_" * len(match[0])))
