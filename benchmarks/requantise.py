"""How close an estimated quant comes to the file: every pair of quants of one model among the files of a folder."""

from __future__ import annotations

import sys
from collections import defaultdict
from itertools import permutations
from pathlib import Path

import omniplan
from omniplan.llamacpp.quant.requantise import quant_name
from omniplan.llamacpp.quant.same_model import Identity
from omniplan.text.table import table

SIZE_TARGET = 0.01
TYPES_TARGET = 0.90


def families(folder: Path) -> list[list[omniplan.Model]]:
    """Models of which the folder holds several quants."""
    found: dict[Identity, dict[str, omniplan.Model]] = defaultdict(dict)
    for path in sorted(folder.rglob("*.gguf")):
        try:
            model = omniplan.load_model(path)
        except omniplan.OmniplanError as error:
            print(f"skipped {error}", file=sys.stderr)
            continue
        found[Identity.of(model)].setdefault(quant_name(model.header), model)
    return [list(quants.values()) for quants in found.values() if len(quants) > 1]


def accuracy(source: omniplan.Model, target: omniplan.Model) -> tuple[float, float]:
    """Relative error of the size, and the share of tensors with the file's own type."""
    estimate = omniplan.requantise(source, quant_name(target.header)).header
    exact = sum(estimate.by_name[tensor.name].type == tensor.type for tensor in target.header.tensors)
    return estimate.tensor_bytes / target.header.tensor_bytes - 1, exact / len(target.header.tensors)


def main() -> int:
    rows = []
    missed = 0
    for models in families(Path(sys.argv[1])):
        for source, target in permutations(models, 2):
            size, types = accuracy(source, target)
            missed += abs(size) > SIZE_TARGET or types < TYPES_TARGET
            name = str(source.header.metadata.get("general.name", source.arch))
            pair = (name, quant_name(source.header), quant_name(target.header))
            rows.append((*pair, f"{size:+.3%}", f"{types:.1%}"))
    print(table(("model", "from", "to", "size", "types exact"), rows, left=3))
    print(f"{len(rows)} pairs, {missed} outside {SIZE_TARGET:.0%} of the size and {TYPES_TARGET:.0%} of the types")
    return missed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
