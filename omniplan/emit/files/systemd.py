"""A systemd unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from omniplan.codec import systemd
from omniplan.codec.systemd import quoted
from omniplan.emit.files.format import Format, Options, only
from omniplan.emit.launch import Launch, commented, printable, rationale
from omniplan.errors import InputError


def _unit(item: Launch) -> str:
    words = " ".join(quoted(word) for word in ("llama-server", *item.argv))
    lines = [
        *commented(rationale(item)),
        "[Unit]",
        f"Description=llama-server: {printable(item.plan.model.name or item.id).replace('%', '%%')}",
        "After=network-online.target",
        "Wants=network-online.target",
        "",
        "[Service]",
        *_environment(item),
        f"ExecStart={words}",
        "Restart=on-failure",
        "RestartSec=10",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
        "",
    ]
    return "\n".join(lines)


def _environment(item: Launch) -> Iterator[str]:
    for name, value in item.environment.items():
        yield f"Environment={quoted(f'{name}={value}', is_command=False)}"


def prepare(item: Launch, options: Options) -> Launch:
    """The launch, unless its model is found from a folder that a unit does not run in."""
    del options
    if not item.model.startswith("/"):
        raise InputError(f"systemd: model {printable(item.model)}: a unit needs a path from /; give it with --model")
    return item


def _write(items: Sequence[Launch], options: Options) -> str:
    del options
    return _unit(only(items, "systemd: a unit"))


FORMAT: Final = Format(name="systemd", write=_write, read=systemd.commands, prepare=prepare)
