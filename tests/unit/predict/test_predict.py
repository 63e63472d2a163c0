"""omniplan.predict: what a prediction holds, which machine facts it uses, and what it does without them."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.domain.evidence import LearnedConstant
from omniplan.errors import InputError
from omniplan.predict import constants as calibration

ZOO = "tests/data/models/zoo/"
DENSE = omniplan.load_model(f"{ZOO}Llama-3.1-8B-Q4_K_M.gguf")
MOE = omniplan.load_model(f"{ZOO}Qwen3-30B-A3B-Q4_K_M.gguf")
BARE = omniplan.Machine.from_dict({"name": "bare", "gpus": [{"name": "CUDA0", "total_mib": 24576}]})
ALL = ("-ngl", "99", "-c", "8192", "-np", "1", "-fa", "on")


def machine(**cpu: object) -> omniplan.Machine:
    """An RTX 4090 in a 16-core desktop."""
    return omniplan.Machine.from_dict(
        {
            "name": "desk",
            "gpus": [{"name": "CUDA0", "description": "RTX 4090", "total_mib": 24564}],
            "cpu": {"n_cores": 16, "n_threads": 32, **cpu},
            "memory": {"total_mib": 98304, "bandwidth_gbs": 64, "bandwidth_basis": "measured"},
        }
    )


def decode(model: omniplan.Model, where: omniplan.Machine, *args: str, depth: int = 0) -> float:
    """Tokens per second at ``depth``."""
    found = omniplan.predict(model, where, [*ALL, *args], n_prompt=0, n_gen=128, depth=depth)
    return found.decode_tokens_per_second.value


def test_terms_sum_to_the_token_and_the_prompt() -> None:
    """The breakdown is complete."""
    found = omniplan.predict(MOE, machine(), [*ALL, "-ncmoe", "20"])

    assert 1 / found.decode_tokens_per_second.value == pytest.approx(sum(found.terms.values()))
    assert 2048 / found.prompt_tokens_per_second.value == pytest.approx(sum(found.prompt_terms.values()))
    seconds = sum(found.prompt_terms.values()) + 256 * sum(found.terms.values())
    assert found.request_seconds.value == pytest.approx(seconds)


def test_a_bare_machine_is_predicted_with_assumptions() -> None:
    """A name and a size are enough; what was made up is said."""
    found = omniplan.predict(DENSE, BARE, ALL)

    assert found.decode_tokens_per_second.value > 1
    for word in ("memory bandwidth", "tensor throughput", "PCIe link", "CPU cores", "RAM bandwidth"):
        assert any(word in line for line in found.assumptions), word


def test_a_known_machine_needs_no_assumption_but_its_links() -> None:
    """The GPU's row fills in the rest."""
    assert omniplan.predict(DENSE, machine(), ALL).assumptions == ()


def test_no_prompt_has_no_prompt_speed() -> None:
    """llama-bench's tg alone."""
    found = omniplan.predict(DENSE, machine(), ALL, n_prompt=0)

    assert (found.prompt_terms, found.prompt_tokens_per_second.value) == ({}, 0)


@pytest.mark.parametrize("name", ["n_prompt", "n_gen", "depth"])
def test_negative_tokens_are_refused(name: str) -> None:
    """The argument is named."""
    with pytest.raises(InputError, match=name):
        omniplan.predict(DENSE, BARE, ALL, **{name: -1})  # type: ignore[arg-type]


def test_predict_stays_a_function() -> None:
    """The package of the same name never hides it."""
    omniplan.predict(DENSE, BARE, ALL, n_prompt=0)

    assert callable(omniplan.predict)


def test_nps4_is_slower_unless_the_process_is_told_to_spread() -> None:
    """Reads leave their node; --numa distribute is the remedy that is known."""
    server = omniplan.Machine.from_dict(
        {
            "name": "server",
            "cpu": {"n_cores": 64},
            "memory": {"total_mib": 1 << 19, "channels": 12, "speed_mts": 4800},
            "nps": 4,
        }
    )
    split = decode(DENSE, server)

    assert split < 0.8 * decode(DENSE, replace(server, nps=1))
    assert split < decode(DENSE, server, "--numa", "distribute")


def test_only_one_socket_counts_by_itself() -> None:
    """Channels are of both sockets, pages of a plain process of one."""
    raw = {"name": "x", "memory": {"total_mib": 1 << 19, "channels": 16, "speed_mts": 4800}}
    two = omniplan.Machine.from_dict({**raw, "cpu": {"n_cores": 64, "n_sockets": 2}})
    one = omniplan.Machine.from_dict({**raw, "cpu": {"n_cores": 64, "n_sockets": 1}})

    assert decode(DENSE, two) < 0.7 * decode(DENSE, one)


def test_more_threads_than_cores_do_not_help() -> None:
    """Hardware threads beyond the cores wait for each other."""
    args = ("-ngl", "0", "-t")

    assert decode(DENSE, machine(), *args, "32") < decode(DENSE, machine(), *args, "16")
    assert decode(DENSE, machine(), *args, "2") < decode(DENSE, machine(), *args, "8")


def test_cache_on_the_cpu_costs_decode_and_prompt() -> None:
    """-nkvo moves attention with the cache."""
    near = omniplan.predict(DENSE, machine(), ALL, depth=4096)
    far = omniplan.predict(DENSE, machine(), [*ALL, "-nkvo"], depth=4096)

    assert far.decode_tokens_per_second.value < 0.7 * near.decode_tokens_per_second.value
    assert far.prompt_tokens_per_second.value < 0.2 * near.prompt_tokens_per_second.value


def test_pinned_memory_streams_faster_than_a_mapped_file() -> None:
    """--load-mode none against the default."""
    args = [*ALL, "-ncmoe", "99", "-ub", "512"]
    mapped = omniplan.predict(MOE, machine(), args)
    pinned = omniplan.predict(MOE, machine(), [*args, "--load-mode", "none"])

    assert pinned.prompt_tokens_per_second.value > 1.5 * mapped.prompt_tokens_per_second.value


def test_larger_micro_batches_stream_less() -> None:
    """Seconds per micro-batch are a constant plus its tokens over a rate."""
    speeds = [
        omniplan.predict(MOE, machine(), [*ALL, "-ncmoe", "99", "-ub", size], n_prompt=4096) for size in ("512", "2048")
    ]

    assert speeds[1].prompt_tokens_per_second.value > 2 * speeds[0].prompt_tokens_per_second.value


def test_every_constant_has_a_spread_a_source_and_a_date() -> None:
    """Nothing in the model is a bare number."""
    rows = calibration.constants()

    assert len(rows) > 30
    assert [name for name, row in rows.items() if not row.source or not row.date] == []


@pytest.mark.parametrize("field", ["n_prompt", "n_gen", "depth"])
def test_a_workload_is_whole_tokens(field: str) -> None:
    """Half a token is as wrong as less than none."""
    for value in (1.5, -1):
        with pytest.raises(omniplan.InputError, match=field):
            omniplan.predict(DENSE, machine(), ALL, **{field: value})  # type: ignore[arg-type]


def test_a_machine_s_own_constants_are_those_there_are() -> None:
    """One that it has learned takes the place of the shipped one; a name that is none is refused."""
    name = "gpu.node"
    own = LearnedConstant(name=name, value=1.0)

    assert calibration.known_on([own])[name] == 1.0
    assert calibration.known_on([])[name] == calibration.shipped()[name] != 1.0
    with pytest.raises(InputError, match=r"gpu\.nod: no such constant"):
        calibration.known_on([own, replace(own, name="gpu.nod")])
