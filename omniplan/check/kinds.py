"""What kind of file a file is, told by its name, else by what it says, and who reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import PurePath
from typing import Final

from omniplan.errors import InputError
from omniplan.formats import (
    batch,
    compose,
    dockerfile,
    dotenv,
    generic,
    kubernetes,
    llama_swap,
    makefile,
    markdown,
    models_conf,
    nix,
    powershell,
    preset_ini,
    python_source,
    supervisor,
    units,
    wrapper,
    yaml_tree,
)
from omniplan.formats.command import Command
from omniplan.formats.contents import Contents, together
from omniplan.formats.format import Format
from omniplan.formats.registry import FORMATS, others
from omniplan.formats.shell.script import read_script
from omniplan.formats.traced import Source
from omniplan.formats.words import traced_words
from omniplan.formats.yaml_tree import Node, Table


class FileKind(StrEnum):
    """What a file is."""

    ARGS = "arguments"
    ARGV = "argument list"
    SHELL = "shell script"
    POWERSHELL = "PowerShell script"
    BATCH = "batch file"
    MAKEFILE = "Makefile"
    PYTHON = "Python program"
    NIX = "Nix expression"
    MARKDOWN = "Markdown"
    MODELS_CONF = "models.conf"
    PRESET = "preset INI"
    ENV = ".env"
    LLAMA_SWAP = "llama-swap"
    COMPOSE = "Compose file"
    KUBERNETES = "Kubernetes objects"
    YAML = "YAML"
    JSON = "JSON"
    SYSTEMD = "systemd unit"
    DESKTOP = "desktop entry"
    SUPERVISOR = "supervisord programs"
    LAUNCHD = "launchd job"
    BUILD = "build file"
    LOG = "log"
    OTHER = "file of another format"
    TEXT = "text that is not read"


def kind_of(path: str, text: str) -> FileKind:
    """The kind of a file by its name, else by what it says; a shell script when nothing tells."""
    name = PurePath(path).name.lower()
    for pattern, kind in _NAMES:
        if re.search(pattern, name):
            return _by_content(text) if kind is None else kind
    if format_of(path):
        return FileKind.OTHER
    found = next((kind for pattern, kind in _CONTENTS if re.search(pattern, text, re.MULTILINE)), None)
    if found is not None:
        return found
    if preset_ini.is_preset(text):
        return FileKind.PRESET
    extension = re.search(r"\.(\w+)$", name)
    if extension and extension[1] in ("yaml", "yml", "template"):
        return FileKind.YAML
    return FileKind.TEXT if extension and extension[1] in _TEXTS else FileKind.SHELL


def _by_content(text: str) -> FileKind:
    """The kind of an INI file, which many programs have."""
    if re.search(r"^\[program:", text, re.MULTILINE):
        return FileKind.SUPERVISOR
    return FileKind.PRESET if preset_ini.is_preset(text) else FileKind.TEXT


_NAMES: Final[tuple[tuple[str, FileKind | None], ...]] = (
    (r"^models.*\.conf$", FileKind.MODELS_CONF),
    (r"\.ini$", None),
    (r"^\.env|\.env$|\.env\.", FileKind.ENV),
    (r"^(dockerfile|containerfile)|\.(dockerfile|cmake)$|^cmakelists\.txt$", FileKind.BUILD),
    (r"\.log$", FileKind.LOG),
    (r"\.(service|container|socket)$", FileKind.SYSTEMD),
    (r"\.desktop$", FileKind.DESKTOP),
    (r"\.plist$", FileKind.LAUNCHD),
    (r"^supervisord?\.conf$", FileKind.SUPERVISOR),
    (r"\.(sh|bash|zsh|ksh|command)$", FileKind.SHELL),
    (r"\.(ps1|psm1)$", FileKind.POWERSHELL),
    (r"\.(bat|cmd)$", FileKind.BATCH),
    (r"\.pyi?$", FileKind.PYTHON),
    (r"\.nix$", FileKind.NIX),
    (r"\.(md|markdown|mdx|mdown)$", FileKind.MARKDOWN),
    (r"\.(json|jsonc|json5|webmanifest)$", FileKind.JSON),
    (r"^(gnu)?makefile|\.mk$|^\.?justfile$|\.just$", FileKind.MAKEFILE),
)
_CONTENTS: Final = (
    (r"\A#!.*\bpython", FileKind.PYTHON),
    (r"\A#!", FileKind.SHELL),
    (r"\A--?[a-zA-Z]", FileKind.ARGV),
    (r"^services:", FileKind.COMPOSE),
    (r"^kind:\s*\w|^apiVersion:", FileKind.KUBERNETES),
    (r"^\[program:", FileKind.SUPERVISOR),
    (r"^ExecStart\s*=|^\[Container\]", FileKind.SYSTEMD),
    (r"^models:", FileKind.LLAMA_SWAP),
    (r"\A(?=[\s\S]*^\[[\w-]+\]\s*$)[\s\S]*^\s*MODEL=", FileKind.MODELS_CONF),
    (r"^FROM \S", FileKind.BUILD),
    (r"^(ggml_cuda_init|llama_model_loader|load_tensors|llm_load_tensors|print_info):", FileKind.LOG),
    (r"\A\s*@?echo off", FileKind.BATCH),
)
# Files in which a command is no command: prose, and programs in languages that are not read.
_TEXTS: Final = frozenset(
    "rst adoc org html htm xml csv tsv toml lock c cc cpp h hpp cu js mjs ts tsx jsx go rs rb java kt swift lua pl php"
    " css scss svg ipynb patch diff tf conf cfg j2 tpl jinja".split()
)


def format_of(path: str) -> Format | None:
    """The format that says its files have such a name: ours, or another package's."""
    name = PurePath(path).name.lower()
    known = (*FORMATS.values(), *others().values())
    return next((item for item in known if item.files and item.files.search(name)), None)


def read_as(kind: FileKind, source: Source, path: str) -> Contents:
    """What a file of that kind starts and holds; raises InputError where the format has no such text."""
    return _READERS[kind](source, path)


def _plugged(source: Source, path: str) -> Contents:
    chosen = format_of(path)
    return Contents(tuple(chosen.read(source.text))) if chosen else Contents()


def _nothing(_source: Source, _path: str) -> Contents:
    return Contents()


def _arguments(source: Source, _path: str) -> Contents:
    words = [source.word(word) for word in traced_words(source.whole)]
    at, environment = 0, []
    while at + 1 < len(words) and words[at].text == EXPORT:
        name, _, value = words[at + 1].text.partition("=")
        environment.append((name, source.word(source.span(0, 0).saying(value), line=words[at].line)))
        at += 2
    return Contents((Command(name="", line=1, words=tuple(words[at:]), environment=tuple(environment)),))


# What stands before a variable in a document of bare arguments.
EXPORT: Final = "export"


def _words(source: Source, _path: str) -> Contents:
    return Contents((Command(name="", line=1, words=tuple(map(source.word, traced_words(source.whole)))),))


def _sections(source: Source, _path: str) -> Contents:
    return Contents(tuple(wrapper.section_command(section) for section in models_conf.parse(source.text).sections))


def _yaml(source: Source, path: str) -> Contents:
    """A stream whose documents say themselves what they are."""
    return together(_document(source, node) for node in yaml_tree.documents(source, where=path))


def _document(source: Source, node: Node) -> Contents:
    if isinstance(node, Table) and isinstance(node.get("services"), Table):
        return compose.read(source, node)
    if isinstance(node, Table) and isinstance(node.get("models"), Table):
        found = llama_swap.read(source, node)
        if found.commands:
            return found
    found = kubernetes.read(source, node)
    return found if found.commands or found.files else generic.read(source, node)


def _json(source: Source, path: str) -> Contents:
    """JSON is YAML, but for tabs between its parts."""
    blank = source.text.replace("\t", " ")
    try:
        return together(generic.read(source, node) for node in yaml_tree.documents(source, where=path, text=blank))
    except InputError:
        # With comments, or cut short: what nobody can read holds no commands.
        return Contents()


_READERS: Final[Mapping[FileKind, Callable[[Source, str], Contents]]] = {
    FileKind.ARGS: _arguments,
    FileKind.ARGV: _words,
    FileKind.SHELL: lambda source, _path: read_script(source),
    FileKind.POWERSHELL: lambda source, _path: powershell.read(source),
    FileKind.BATCH: lambda source, _path: batch.read(source),
    FileKind.MAKEFILE: lambda source, _path: makefile.read(source),
    FileKind.PYTHON: lambda source, path: python_source.read(source, where=path),
    FileKind.NIX: lambda source, _path: nix.read(source),
    FileKind.MARKDOWN: lambda source, path: markdown.read(source, where=path),
    FileKind.MODELS_CONF: _sections,
    FileKind.PRESET: lambda source, path: preset_ini.read(source, where=path),
    FileKind.ENV: lambda source, _path: dotenv.read(source),
    FileKind.LLAMA_SWAP: _yaml,
    FileKind.COMPOSE: _yaml,
    FileKind.KUBERNETES: _yaml,
    FileKind.YAML: _yaml,
    FileKind.JSON: _json,
    FileKind.SYSTEMD: lambda source, _path: units.read_unit(source),
    FileKind.DESKTOP: lambda source, _path: units.read_desktop(source),
    FileKind.SUPERVISOR: lambda source, path: supervisor.read_supervisor(source, where=path),
    FileKind.LAUNCHD: lambda source, path: supervisor.read_plist(source, where=path),
    FileKind.BUILD: lambda source, _path: dockerfile.read(source),
    FileKind.LOG: _nothing,
    FileKind.OTHER: _plugged,
    FileKind.TEXT: _nothing,
}
