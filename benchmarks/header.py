"""How long a header with a 152k-token vocabulary takes to read; the target is 50 ms."""

from __future__ import annotations

import random
import struct
import sys
import tempfile
import time
from pathlib import Path

from omniplan.gguf import read_header

TARGET = 0.050
N_TOKENS = 152_064
N_MERGES = 280_000
N_LAYER = 48
RUNS = 9


def text(data: bytes) -> bytes:
    """A GGUF string."""
    return struct.pack("<Q", len(data)) + data


def strings(key: bytes, count: int, mean: int, rng: random.Random) -> bytes:
    """A key with an array of ``count`` strings of about ``mean`` bytes."""
    words = (b"x" * max(1, int(rng.gammavariate(4, mean / 4))) for _ in range(count))
    return text(key) + struct.pack("<IIQ", 9, 8, count) + b"".join(map(text, words))


def numbers(key: bytes, code: str, kind: int) -> bytes:
    """A key with one number per token."""
    return text(key) + struct.pack("<IIQ", 9, kind, N_TOKENS) + struct.pack(f"<{N_TOKENS}{code}", *range(N_TOKENS))


def tensor_rows() -> list[bytes]:
    """Twelve q8_0 tensors per layer."""
    size = 2048 * 2048 // 32 * 34
    names = [f"blk.{layer}.tensor_{part}.weight".encode() for layer in range(N_LAYER) for part in range(12)]
    return [text(name) + struct.pack("<IQQIQ", 2, 2048, 2048, 8, size * i) for i, name in enumerate(names)]


def header() -> bytes:
    """A header as a large Qwen model has it, with scores and merges."""
    rng = random.Random(1)
    values = [
        text(b"general.architecture") + struct.pack("<I", 8) + text(b"qwen3moe"),
        strings(b"tokenizer.ggml.tokens", N_TOKENS, 7, rng),
        numbers(b"tokenizer.ggml.scores", "f", 6),
        numbers(b"tokenizer.ggml.token_type", "i", 5),
        strings(b"tokenizer.ggml.merges", N_MERGES, 9, rng),
    ]
    rows = tensor_rows()
    return b"".join([b"GGUF", struct.pack("<IQQ", 3, len(rows), len(values)), *values, *rows])


def main() -> int:
    """Print the figures; 1 when the best run misses the target."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        path.write_bytes(header())
        times = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            read_header(path)
            times.append(time.perf_counter() - begin)
        size = path.stat().st_size / 1e6
    times.sort()
    print(f"{size:.1f} MB header, {N_TOKENS + N_MERGES:,} strings: best {times[0] * 1e3:.1f} ms, "
          f"median {times[RUNS // 2] * 1e3:.1f} ms, target {TARGET * 1e3:.0f} ms")  # fmt: skip
    return int(times[0] > TARGET)


if __name__ == "__main__":
    sys.exit(main())
