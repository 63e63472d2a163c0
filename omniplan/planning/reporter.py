"""What the search tells while it runs: what did not fit, what was weighed, and how near the nearest miss was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from omniplan.domain.evidence import Reason, ReasonVerdict
from omniplan.domain.machine import Gpu
from omniplan.planning.candidates import Candidate, args_of
from omniplan.units import gib, mib

SLOW_GPU: Final = "published A/B runs in which a second GPU lost 10 %: ik_llama.cpp #629"


class Reporter:
    """Collects reasons, never to be reconstructed afterwards; ``closest`` are the missing bytes of the nearest miss."""

    def __init__(self) -> None:
        self.notes: list[Reason] = []
        self.rejections: list[Reason] = []
        self.closest: Mapping[str, int] = {}

    def too_big_for(self, gpu: Gpu, need: int, budget: int) -> None:
        """The whole model does not fit on one GPU, weights and cache alone."""
        self._reject(
            f"everything on {gpu.name}",
            f"weights and KV cache take {gib(need)}, {gpu.name} ({gpu.description or 'GPU'}) has {gib(budget)} "
            f"after headroom: short by {mib(need - budget)} before any compute buffer",
            "header: tensor table; machine: free memory less headroom",
        )
        self._remember({gpu.name: need - budget})

    def rejected(self, candidate: Candidate, missing: Mapping[str, int], source: str) -> None:
        """A priced candidate broke a limit; ``source`` is where its bytes come from."""
        where = ", ".join(f"{mib(size)} on {name}" for name, size in missing.items())
        args = " ".join(args_of(candidate.params))
        self._reject(f"{candidate.strategy}: {args}", f"short by {where}, headroom kept", source)
        self._remember(missing)

    def recall(self) -> tuple[int, int]:
        """How much has been told so far."""
        return len(self.notes), len(self.rejections)

    def restore(self, told: tuple[int, int]) -> None:
        """Forget what was told since ``recall``."""
        del self.notes[told[0] :], self.rejections[told[1] :]

    def second_gpu(self, names: Sequence[str], gain: float, margin: float) -> None:
        """GPUs slower than the fastest were weighed against doing without them."""
        which = ", ".join(names)
        share = f"{gain:.0%} of the predicted time" if gain > 0 else "no predicted time"
        if gain >= margin:
            text = f"slower than the fastest GPU, but saves {share}, more than the {margin:.0%} it must"
            self.note(Reason(verdict=ReasonVerdict.CHOSEN, subject=which, statement=text, source=SLOW_GPU))
        else:
            text = f"slower than the fastest GPU and saves {share}, less than the {margin:.0%} it must"
            self._reject(which, text, SLOW_GPU)

    def note(self, reason: Reason) -> None:
        """One more thing worth saying about the winner."""
        self.notes.append(reason)

    def _reject(self, subject: str, statement: str, source: str) -> None:
        self.rejections.append(
            Reason(verdict=ReasonVerdict.REJECTED, subject=subject, statement=statement, source=source)
        )

    def _remember(self, missing: Mapping[str, int]) -> None:
        if not self.closest or sum(missing.values()) < sum(self.closest.values()):
            self.closest = missing
