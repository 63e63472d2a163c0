"""What the accuracy page says in words: what it rests on, and why single rows are far off."""

from __future__ import annotations

from typing import Final

INTRODUCTION: Final = (
    "Published measurements ([their sources](../tests/data/measurements/README.md)) priced by `omniplan.predict` and",
    "nothing else. The shipped constants were set while looking at these rows, so the figures without calibration are",
    "in-sample: some fifty constants with a physical meaning against the rows below, most of them set by one sweep.",
    "Rows of 2024 have constants of their own. What the same constants do on a rig that did not set the ranges is",
    "under [Ranges](#ranges). What plans gain over `--fit` by the same model: [gains.md](gains.md).",
)

HOW: Final = (
    "The rule reads what a row says of engine, machine, model and placement and never its speeds; no row was taken out",
    "after its error was seen. Each row becomes a machine file (names, cores, channels and bandwidths as the row has",
    "them, the tables for the rest) and llama-server arguments. A model is a header of the same shape; where its file",
    "has another size, its matrices (with experts: only those) take the two types whose mix has that size.",
    "The error is predicted over measured, less 1; p90 is what nine of ten rows stay below.",
)

TARGET_NOTE: Final = (
    "Targets: decode median 9 % and p90 35 %, with one row per machine a median of 8 %; prompt median 20 % and p90",
    "50 %. omniplan predicts llama.cpp; rows of ik_llama.cpp count only where it says so.",
)

RANGES: Final = (
    "A prediction's range is meant to hold eight of ten measured speeds. Its ends are tenths of measured over",
    "predicted seconds of a device class (`fast` and `slow` in `data/accuracy.toml`). Here each rig is held against",
    "the ends that all other rigs have; the width is high over low.",
)

LEFT_OUT: Final = (
    "The shipped constants were set with all rows in sight. Here a plain procedure sets them from rows alone, one",
    "after the other, each to the step within half and twice its value that lowers the errors of the rows it has a",
    "part in; a rig counts as the root of its rows. First with all rows; then without each rig, whose rows are",
    "predicted with what came out. A constant of one compute capability or back end that no other rig has a row for",
    "is forgotten, and the general one stands for it.",
)

DIARIES: Final = "[Two people](lessons.md) who tuned llama.cpp by hand wrote down these speeds."

ORDER: Final = (
    "Every two rows of one rig, back end and model whose measured speeds differ by more than 10 %: whether the faster",
    "one is predicted to be faster.",
)

PAIRS: Final = (
    "Planning compares predictions of one model on one machine. Much of what is wrong about one is wrong about both",
    "and cancels, so the error of a comparison is taken from pairs of rows: how far the ratio of two predictions is",
    "from that of the two measurements, the larger of both ways round. A pair is of one engine, whose own speed",
    "cancels too, so ik_llama.cpp's rows count; single rows are llama.cpp's, as above. Planning takes the median of",
    "pairs, for a request weighed by the seconds of its two phases. The same figures are rows of",
    "`data/accuracy.toml`.",
)

COMMENT: Final = (
    "How far predictions are off. Written by benchmarks/accuracy.py with docs/accuracy.md; do not edit.\n"
    "Median and p90 are of single predictions, those of pairs of the ratio of two on one machine."
)

# By how a row's id starts.
CAUSES: Final = {
    "e9355vm-q235-main-cpu": "a CUDA build with `-ngl 0` in a VM: attention and a q8_0 cache on the CPU fell to "
    "a tenth at depth, ik_llama.cpp on the same box did not; its prompts went over PCIe",
    "8xh100-dsv3": "January 2025: no latent attention, experts one by one, no CUDA graphs; b11434 has all three",
    "kt-llamacpp-baseline": "a vendor's baseline of February 2025, no latent attention, memory of two sockets at will",
    "gtx1070-q36": 'the host is "4-thread host": its RAM is not known, two desktop channels were assumed',
    "2080-q30": "placement known, threads and box are not; gpt-oss-20b on the same box is within 10 %",
    "4070-12600k": "MXFP4 on a hybrid CPU: threads wait for the efficiency cores; ran pinned and by default alike",
    "tr7965-a6000-q235-q8-main": "streamed at 22 GB/s over PCIe 4, as from pinned memory; mmap was assumed",
    "2xe9355-pro6000": "two sockets in NPS4: pages of four nodes pass one GPU's link",
    "pro6000-": "September 2025: few tokens per expert; probably bound by launches",
    "xd-H100": "spring 2024 had no kernels for Hopper: the same source gives an H100 1.3 times an A100",
    "xd-RTX6000Ada": "300 W: probably cannot hold the clock its tensor throughput is stated at",
    "xd-RTX4000Ada": "130 W: probably cannot hold the clock its tensor throughput is stated at",
    "xd-RTX3090-x4-Llama70B": "slower than two of the same cards in the same table",
    "7950x-q30": "DDR5 of unknown speed, 64 GB/s measured",
    "4080-oss20": "gains nothing from micro-batches over 1024, on ik_llama.cpp it does",
}
