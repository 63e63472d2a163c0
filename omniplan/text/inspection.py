"""What a model file holds and what a machine has, as screens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from omniplan.domain.inspection import Inspection
from omniplan.domain.machine import Machine
from omniplan.text.palette import Hue
from omniplan.text.screen import Heading, Passage, Prose, Screen, Tabular, Toned, bullets
from omniplan.units import GIB, gib


def inspection_screen(facts: Inspection) -> Screen:
    """What a model file holds: the model, its layers, its size, and bytes by role and type."""
    experts = (
        f"{facts.n_expert} experts, {facts.n_expert_used} used, {facts.n_expert_shared} shared"
        if facts.is_moe
        else "no experts"
    )
    kinds = ", ".join(f"{count} x {kind}" for kind, count in facts.layers.items())
    name = Toned(facts.name or facts.path, Hue.TITLE)
    total, active = facts.n_parameters / 1e9, facts.n_active / 1e9
    nextn = f" + {facts.n_layer_nextn} nextn" if facts.n_layer_nextn else ""
    window = f", window {facts.n_swa:,}" if facts.n_swa else ""
    lines = [
        Prose((name, f": {facts.architecture}, {'MoE' if facts.is_moe else 'dense'}, {experts}"), hang=2),
        Prose(f"Layers: {facts.n_layer} ({kinds}){nextn}", hang=2),
        Prose(f"Attention: {facts.attention}; {facts.n_head} heads, {facts.n_head_kv} KV heads{window}", hang=2),
        Prose(f"Context: {facts.n_ctx_train:,} tokens; embedding {facts.n_embd:,}, vocabulary {facts.n_vocab:,}"),
        Prose(
            f"Parameters: {total:,.2f} B, {active:,.2f} B active per token, {facts.bits_per_weight:.2f} bits per weight"
        ),
        Prose(f"Size: {gib(facts.tensor_bytes)} ({facts.tensor_bytes:,} bytes) in {facts.n_shards} file(s)"),
    ]
    by_role = Tabular(
        [Heading("role", is_left=True), Heading("bytes"), Heading("")],
        [(role, f"{n:,}", gib(n)) for role, n in facts.nbytes_by_role.items()],
    )
    by_type = Tabular(
        [Heading("type", is_left=True), Heading("tensors"), Heading("bytes"), Heading("")],
        [(item.type, str(item.n_tensors), f"{item.nbytes:,}", gib(item.nbytes)) for item in facts.quants],
    )
    odd = Passage(bullets(facts.odd), title="Odd:")
    return Screen((Passage(lines), Passage([by_role]), Passage([by_type]), odd))


def models_screen(models: Mapping[str, Inspection]) -> Screen:
    """A row for every header by the name that stands for it, then how that is used."""
    columns = [
        Heading("MODEL", is_left=True, hue=Hue.TITLE),
        Heading("architecture", is_left=True),
        Heading("parameters"),
        Heading("of them active", rank=1),
        Heading("weights"),
    ]
    rows = [
        (name, facts.architecture, f"{facts.n_parameters / 1e9:,.1f} B", _active(facts), gib(facts.tensor_bytes))
        for name, facts in models.items()
    ]
    told = "Headers without weights: omniplan plans them under these names, and llama-server cannot run them."
    return Screen((Passage([Tabular(columns, rows)]), Passage([Prose(told)])))


def _active(facts: Inspection) -> str:
    return f"{facts.n_active / 1e9:,.1f} B" if facts.is_moe else "all"


def machines_screen(machines: Mapping[str, Machine], own: Sequence[str]) -> Screen:
    """A row for every machine, then where those lie that are the user's own."""
    columns = [
        Heading("name", is_left=True),
        Heading("GPUs", is_left=True, is_prose=True),
        Heading("RAM for a server", rank=1),
        Heading("CPU", is_left=True, is_prose=True, rank=2),
    ]
    return Screen(
        (
            Passage([Tabular(columns, [(name, *_row(machine)) for name, machine in machines.items()])]),
            Passage([Prose(line) for line in own]),
        )
    )


def _row(machine: Machine) -> tuple[str, str, str]:
    """GPUs, RAM and processor of a machine."""
    counts = Counter(f"{gpu.description} ({gpu.free / GIB:.1f} GiB free)" for gpu in machine.gpus)
    gpus = " + ".join(f"{count} x {text}" if count > 1 else text for text, count in counts.items()) or "no GPU"
    ram = gib(machine.memory.available) if machine.memory else "unknown"
    return gpus, ram, machine.cpu.model if machine.cpu else "unknown"
