"""A change of what is asked for with which a plan would be faster, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omniplan.documents.record import Record
from omniplan.domain.prediction import Estimate

# The subject of a lever that is another file.
QUANT: Final = "quant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever(Record):
    """A change that has been planned with everything else as asked, and is clearly faster.

    ``field`` is the field of a request that changes, ``value`` what to: or "quant" and the name of a mixture of
    llama-quantize, whose weights take ``tensor_bytes`` (0 for the same file).
    """

    field: str
    value: str
    decode_tokens_per_second: Estimate
    prompt_tokens_per_second: Estimate
    request_seconds: Estimate
    tensor_bytes: int = 0
