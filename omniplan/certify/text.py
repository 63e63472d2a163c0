"""A certificate as text: the figures side by side, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator

from omniplan.certify.values import Certificate, Check
from omniplan.text.table import table
from omniplan.units import mib


def certificate_text(found: Certificate) -> str:
    """Every figure that is not zero on both sides, then the verdict and what it does not cover."""
    return "\n".join([*_lines(found), *(f"note: {note}" for note in found.notes)])


def _lines(found: Certificate) -> Iterator[str]:
    yield f"{found.model} on {found.machine}, planned for llama.cpp {found.llama_cpp}"
    yield f"counted by {found.source}"
    yield ""
    if found.refused:
        yield f"refused: {found.refused}"
        return
    rows = [_row(check) for check in found.checks if check.planned or check.counted]
    yield table(("", "planned", "llama.cpp", "difference"), rows)
    yield ""
    yield _verdict(found)


def _row(check: Check) -> list[str]:
    if check.is_bytes:
        ours, theirs = int(check.planned), int(check.counted)
        return [check.what, mib(ours), mib(theirs), f"{theirs - ours:+,} bytes" if theirs != ours else ""]
    return [check.what, str(check.planned), str(check.counted), "" if check.agrees else "differs"]


def _verdict(found: Certificate) -> str:
    if found.differences:
        return f"differs in {len(found.differences)} of {len(found.checks)} figures: {', '.join(found.differences)}"
    exact = sum(check.planned == check.counted for check in found.checks)
    unit = "byte" if found.resolution == 1 else "MiB"
    return f"agrees in all {len(found.checks)} figures, {exact} of them to the {unit}"
