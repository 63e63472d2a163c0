"""What the network between hosts adds: rows, masks and answers over a link, in round figures and as measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

import omniplan
from omniplan.domain.machine import Host, Machine
from omniplan.domain.prediction import Cause, Prediction
from omniplan.errors import InputError
from omniplan.llamacpp.quant.requantise import requantise
from omniplan.predict.constants import shipped
from tests.oracle.cases import model

ADDRESS = "10.0.0.2:50052"
OVER = ("-ngl", "99", "-fa", "on", "-np", "1", "--rpc", ADDRESS)
DENSE = model("Llama-3.1-8B-Q4_K_M")


def pair(machine: Machine, *, gbs: float | None = 1.25, us: float | None = 100) -> Machine:
    """``machine`` with another one of its kind over a link."""
    link = None if gbs is None else gbs * 1e9
    return replace(machine, hosts=(Host(address=ADDRESS, machine=machine, link_bandwidth=link, latency_us=us),))


def predicted(machine: Machine, *args: str, n_prompt: int = 0, depth: int = 0) -> Prediction:
    """One of 32 layers of 4,096 wide, a vocabulary of 128,256, over two hosts."""
    return omniplan.predict(DENSE, machine, [*OVER, "-c", "8192", *args], n_prompt=n_prompt, n_gen=0, depth=depth)


@pytest.mark.parametrize(("depth", "n_prompt"), [(0, 0), (4000, 0), (0, 512)])
def test_rows_go_there_and_back_and_a_mask_goes_along(depth: int, n_prompt: int) -> None:
    """Two crossings of f32 rows, one f16 mask, one answer and one start a batch."""
    machine = pair(omniplan.load_machine("single-3090"))
    found = predicted(machine, n_prompt=n_prompt, depth=depth)
    tokens = n_prompt or 1
    size = 2 * tokens * 4096 * 4 + 2 * tokens * (depth + tokens)

    terms = found.prompt_terms if n_prompt else found.terms

    rate, split = shipped()["rpc.link_share"] * 1.25e9, shipped()["rpc.split"]
    assert terms[Cause.NETWORK] == pytest.approx(size / rate + 100e-6 + split)


def test_the_last_host_sends_a_row_of_logits() -> None:
    """With no GPU here the answer comes over the network: a float for every piece of the vocabulary."""
    machine = pair(omniplan.load_machine("single-3090"))
    here, there = predicted(machine), predicted(replace(machine, gpus=()))

    more = there.terms[Cause.NETWORK] - here.terms[Cause.NETWORK]

    assert more == pytest.approx((128256 - 4096) * 4 / (shipped()["rpc.link_share"] * 1.25e9))


def test_experts_elsewhere_cross_twice_a_layer() -> None:
    """An override onto another host sends the rows of every layer there and back."""
    machine = pair(omniplan.load_machine("single-3090"))
    one = predicted(machine, "-ts", "0,1", "-ot", f"blk\\.[0]\\.ffn_down=RPC0[{ADDRESS}]").terms[Cause.NETWORK]
    ten = predicted(machine, "-ts", "0,1", "-ot", f"blk\\.[0-9]\\.ffn_down=RPC0[{ADDRESS}]").terms[Cause.NETWORK]

    assert ten == pytest.approx(10 * one)


def test_what_is_not_known_of_the_network_is_said() -> None:
    """One line each, and nothing without other hosts."""
    machine = pair(omniplan.load_machine("single-3090"), gbs=None, us=None)

    assert [text for text in predicted(machine).assumptions if ADDRESS in text] == [
        f"{ADDRESS}: link_gbs unknown, 0.018 GB/s assumed",
        f"{ADDRESS}: latency_us unknown, 200 us assumed",
    ]


def test_speed_over_a_host_nobody_describes_is_not_guessed() -> None:
    """It is refused in one line."""
    with pytest.raises(InputError, match=r"how fast 10\.0\.0\.2:50052 is is not known"):
        predicted(omniplan.load_machine("single-3090"))


# llama-bench of two Strix Halo, builds 7693 and 7938, ROCm, link not stated (kyuz0/amd-strix-halo-toolboxes).
MEASURED = [(0, 512, (159.4, 174.0), (17.98, 19.05)), (32768, 2048, (59.95, 65.69), (5.91, 6.47))]


@pytest.mark.parametrize(("depth", "n_ubatch", "prompt", "token"), MEASURED, ids=["depth 0", "depth 32k"])
def test_two_strix_halo(depth: int, n_ubatch: int, prompt: tuple[float, float], token: tuple[float, float]) -> None:
    """MiniMax-M2 at Q6_K is within 30 % of every run, near the beginning and at depth."""
    machine = pair(omniplan.machine_from_words("Strix Halo 128 GB"), gbs=None, us=None)
    args = [*OVER, "-c", str(depth + 4096), "-ub", str(n_ubatch), "--load-mode", "none"]
    quant = requantise(model("MiniMax-M2-Q4_K_M"), "Q6_K")

    reading = omniplan.predict(quant, machine, args, n_prompt=n_ubatch, n_gen=0, depth=depth)
    writing = omniplan.predict(quant, machine, args, n_prompt=0, n_gen=32, depth=depth)

    for found, (least, most) in (
        (reading.prompt_tokens_per_second.value, prompt),
        (writing.decode_tokens_per_second.value, token),
    ):
        assert 0.7 * most < found < 1.3 * least
