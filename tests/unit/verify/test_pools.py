"""Which device of a prediction a pool of a log is."""

from __future__ import annotations

import pytest

from omniplan.verify.pools import backend, pool_of, predicted_name

OTHERS = ["Other0", "Other1"]


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("CUDA1", "CUDA1"),
        ("ROCm1", "ROCm1"),
        ("MTL0_Mapped", "MTL0"),
        ("Metal", "MTL0"),
        ("Metal_Mapped", "MTL0"),
        ("ROCm_Host", "Host"),
        ("CPU_REPACK", "Host"),
        ("Other1", "CUDA1"),
    ],
)
def test_devices_of_priced_back_ends_keep_their_names(device: str, expected: str) -> None:
    """CUDA's stand in for those that nothing is known of; older builds do not number a Mac's GPU."""
    assert predicted_name(pool_of(device), OTHERS) == expected


def test_a_mac_has_one_back_end_in_all_builds() -> None:
    """Its buffers are called Metal in old logs."""
    assert backend(["Metal"]) == backend(["MTL0"]) == "MTL"
