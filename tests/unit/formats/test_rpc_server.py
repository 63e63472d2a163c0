"""What other hosts of a plan run, and what is said of who may reach them."""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import replace

import pytest

import omniplan
from omniplan.api.documents import parse_plan
from omniplan.domain.machine import Host
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.formats.remote import safety
from omniplan.machines.files import machine_toml
from tests.oracle.cases import model

ruamel = pytest.importorskip("ruamel.yaml")
ADDRESS = "10.0.0.2:50052"


def plan_over(address: str = ADDRESS, machine: str = "dual-4090-5070ti") -> Plan:
    """A plan of a model that one card does not hold, over ``machine`` as the other host."""
    other = Host(address=address, machine=omniplan.load_machine(machine), link_bandwidth=1.25e9, latency_us=50)
    here = replace(omniplan.load_machine("single-3090"), hosts=(other,))
    return omniplan.plan(model("Llama-3.3-70B-Q4_K_M"), here, n_ctx=4096, baselines=False)


PLAN = plan_over()
WORDS = ["ggml-rpc-server", "-H", "10.0.0.2", "-p", "50052", "-d", "CUDA0,CUDA1", "-c"]


def test_a_shell_line_offers_the_devices_in_the_order_of_the_plan() -> None:
    """CUDA there counts them as the machine file does."""
    line = omniplan.emit(PLAN, format="shell", host=ADDRESS).splitlines()[-1]

    assert shlex.split(line)[-8:] == WORDS
    assert shlex.split(line)[:-8] == ["CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=0,1"]


def test_an_older_build_calls_it_otherwise() -> None:
    """The program's name changed in mid-2026."""
    text = omniplan.emit(PLAN, format="shell", host=ADDRESS, llama_cpp="b9093")

    assert " rpc-server -H" in text


def test_a_unit_and_a_compose_file_run_the_same() -> None:
    """With systemd's words and Compose's, published on the host's own address alone."""
    unit = omniplan.emit(PLAN, format="systemd", host=ADDRESS)
    compose = ruamel.YAML(typ="safe").load(omniplan.emit(PLAN, format="compose", host=ADDRESS))
    service = compose["services"]["rpc-server"]

    (start,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert start.removeprefix("ExecStart=").split() == WORDS
    assert "Environment=CUDA_VISIBLE_DEVICES=0,1" in unit
    assert service["entrypoint"] == ["/app/ggml-rpc-server"]
    assert service["command"] == ["-H", "0.0.0.0", *WORDS[3:]]  # noqa: S104 - in its container
    assert service["ports"] == ["10.0.0.2:50052:50052"]


@pytest.mark.parametrize("format", ["shell", "systemd", "compose", "k8s", "models.conf", "llama-swap"])
def test_the_main_host_is_told_what_runs_first(format: str) -> None:
    """And that the images one finds have no RPC; the arguments name the server."""
    path = "/models/model.gguf"
    text = omniplan.emit(PLAN, format=format, model_path=path)

    assert ADDRESS in text
    if "#" in text:
        assert f"first on {ADDRESS}" in text
    if format in ("compose", "k8s"):
        assert "llama.cpp-rpc:b11434" in text
        assert "/app/llama-server" in text


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (ADDRESS, "10.0.0.2 is private"),
        ("100.64.1.2:50052", "100.64.1.2 is private"),
        ("8.8.8.8:50052", "WARNING: 8.8.8.8 is a public address; use a private one, a VPN or an SSH tunnel"),
        ("127.0.0.1:50052", "127.0.0.1 is private"),
        ("halo.lan:50052", "WARNING: halo.lan is a name"),
    ],
)
def test_who_may_reach_it_is_said(address: str, says: str) -> None:
    """There is no password and no encryption."""
    first, second = safety(address)

    assert "asks for no password and encrypts nothing" in first
    assert says in second


def test_a_public_address_is_a_warning_of_the_plan() -> None:
    """Before any file is written."""
    plan = plan_over("8.8.8.8:50052")

    assert any("WARNING: 8.8.8.8 is a public address" in reason.statement for reason in plan.reasons)


def test_what_cannot_be_written_is_one_line() -> None:
    """Another host, another format, a name nobody can listen on."""
    with pytest.raises(InputError, match=r"that the plan uses, 10\.0\.0\.2:50052"):
        omniplan.emit(PLAN, host="10.0.0.9:50052")
    with pytest.raises(InputError, match="a host's file is one of shell, systemd, compose"):
        omniplan.emit(PLAN, format="k8s", host=ADDRESS)
    with pytest.raises(InputError, match="rpc-server listens on an IPv4 address alone"):
        omniplan.emit(plan_over("halo.lan:50052"), host="halo.lan:50052")


def test_a_host_without_gpus_offers_its_cpu() -> None:
    """By the name that rpc-server has for it."""
    assert "-d CPU " in omniplan.emit(plan_over(machine="cpu-only"), host=ADDRESS)


def test_a_plan_over_hosts_is_read_back() -> None:
    """With devices of both, as the file of a plan has them."""
    assert parse_plan(PLAN.to_json()) == PLAN
    assert tomllib.loads(machine_toml(PLAN.machine))["hosts"][0]["address"] == ADDRESS
