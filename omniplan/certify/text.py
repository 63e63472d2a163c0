"""A certificate as a screen: a verdict, and the figures side by side."""

from __future__ import annotations

from omniplan.certify.values import Certificate, Check
from omniplan.text.palette import Hue
from omniplan.text.screen import Heading, Passage, Prose, Screen, Tabular, Toned
from omniplan.units import mib


def certificate_screen(found: Certificate) -> Screen:
    """The verdict, then every figure that is not zero on both sides, and what it does not cover."""
    about = f"{found.model} on {found.machine}, planned for llama.cpp {found.llama_cpp}; counted by {found.source}"
    notes = [Prose(f"note: {note}", hang=2) for note in found.notes]
    if found.refused:
        refused = Prose(Toned(f"refused: {found.refused}", Hue.BAD), hang=2)
        return Screen((Passage([refused, Prose(about, hang=2)]), Passage(notes)))
    columns = (Heading("", is_left=True), *map(Heading, ("planned", "llama.cpp", "difference")))
    rows = [_row(check) for check in found.checks if check.planned or check.counted]
    return Screen((Passage([_verdict(found), Prose(about, hang=2)]), Passage([Tabular(columns, rows)]), Passage(notes)))


def _row(check: Check) -> list[str]:
    if check.is_bytes:
        ours, theirs = int(check.planned), int(check.counted)
        return [check.what, mib(ours), mib(theirs), f"{theirs - ours:+,} bytes" if theirs != ours else ""]
    return [check.what, str(check.planned), str(check.counted), "" if check.agrees else "differs"]


def _verdict(found: Certificate) -> Prose:
    if found.differences:
        differs = f"differs in {len(found.differences)} of {len(found.checks)} figures: {', '.join(found.differences)}"
        return Prose(Toned(differs, Hue.BAD), hang=2)
    exact = sum(check.planned == check.counted for check in found.checks)
    unit = "byte" if found.resolution == 1 else "MiB"
    agrees = f"agrees in all {len(found.checks)} figures, {exact} of them to the {unit}"
    return Prose(Toned(agrees, Hue.GOOD), hang=2)
