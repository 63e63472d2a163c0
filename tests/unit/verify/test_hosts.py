"""A log of a load over two rpc-servers, of which one offers two devices, held against what the arguments take."""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from omniplan.verify.logs import read_log
from omniplan.verify.pools import device_order, predicted_name
from omniplan.verify.values import RunVerdict
from tests.oracle import cases

LOG = cases.DATA / "logs" / "rpc-three-devices.log"
ARGS = ["-c", "1024", "-np", "1", "-ngl", "99", "--rpc", "one:50052,two:50052", "-ts", "2,1,1", "--fit", "off"]


def test_buffers_are_those_of_devices_counted_over_hosts() -> None:
    """A buffer's number is its place on one server, a device's that over all of them."""
    order = device_order(read_log(LOG))

    assert {name: predicted_name(name, order) for name in order} == {
        "RPC0[one:50052]": "RPC0",
        "RPC0[two:50052]": "RPC1",
        "RPC1[two:50052]": "RPC2",
    }


def test_a_real_load_over_hosts_is_as_priced(tmp_path: Path) -> None:
    """Every buffer that b11739 printed, of three remote devices and of RAM."""
    pytest.importorskip("gguf")
    from tests.real.tiny import write_tiny

    model = write_tiny(tmp_path / "tiny.gguf")
    found = omniplan.verify(LOG, model=model, machine=cases.machines()["hosts-alone"], args=ARGS, build="b11549")

    assert found.verdict is RunVerdict.WITHIN
    assert {row.pool for row in found.rows} >= {"RPC0[one:50052]", "RPC0[two:50052]", "RPC1[two:50052]"}
    assert [row for row in found.rows if not row.is_within] == []
    assert "other-backend" not in {item.name for item in found.findings}


def test_a_load_over_hosts_that_nobody_describes_is_read_all_the_same(tmp_path: Path) -> None:
    """What the log shows is held against what is known, and no speed is made up."""
    pytest.importorskip("gguf")
    from tests.real.tiny import write_tiny

    timing = "prompt eval time =      10.00 ms /    20 tokens (    0.50 ms per token,  2000.00 tokens per second)\n"
    log = tmp_path / "server.log"
    log.write_text(LOG.read_text(encoding="utf-8") + timing, encoding="utf-8")

    found = omniplan.verify(log, model=write_tiny(tmp_path / "tiny.gguf"), args=ARGS, build="b11549")

    assert found.verdict is not None
    assert "other-backend" in {item.name for item in found.findings}
