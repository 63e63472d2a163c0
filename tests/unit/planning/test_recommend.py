"""Several quants of one model, ranked; files that do not belong are named."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import omniplan
from omniplan.llamacpp.quant.same_model import plain_name
from omniplan.llamacpp.quant.usual import assumed_loss
from omniplan.planning.recommend import NOTICED, READ, WORTH
from omniplan.planning.text_recommendation import recommendation_screen
from tests.headers import make_header
from tests.machines import single
from tests.oracle import cases
from tests.oracle.cases import DATA
from tests.screens import everything

ZOO = DATA / "models" / "zoo"
QWEN = [ZOO / "Qwen3-30B-A3B-Q8_0.gguf", ZOO / "Qwen3-30B-A3B-Q4_K_M.gguf"]


@pytest.fixture(scope="module")
def found() -> omniplan.Recommendation:
    """Two files, two estimates, one of them too large, on one 24 GiB GPU with little RAM."""
    return omniplan.recommend(QWEN, single(24, ram_gib=13), what_if=["Q2_K", "F16"], n_ctx=8192)


def test_what_fits_comes_first(found: omniplan.Recommendation) -> None:
    """What does not fit follows by size; the answer names the first."""
    fits = [option.outcome is not None for option in found.options]

    assert sorted(fits, reverse=True) == fits
    assert everything(recommendation_screen(found)).startswith(
        f"Take {found.options[0].quant} of Qwen3-30B-A3B: {found.why}; "
    )
    assert ["F16"] == [option.quant for option in found.options if option.why_not]
    assert "short by" in found.options[-1].why_not


def test_the_front_is_that_of_brute_force(found: omniplan.Recommendation) -> None:
    """Marked are those that no other beats in bits per weight and time at once."""
    merits = {
        option.quant: (option.bits_per_weight, -option.outcome.request_seconds.value)
        for option in found.options
        if option.outcome
    }
    beaten = {
        quant
        for quant, own in merits.items()
        if any(other != own and other[0] >= own[0] and other[1] >= own[1] for other in merits.values())
    }

    assert set(merits) - beaten == {option.quant for option in found.options if option.is_efficient}


def test_each_option_is_the_plan_of_its_file(found: omniplan.Recommendation) -> None:
    """The arguments are those of ``plan`` for that file at that context."""
    option = next(option for option in found.options if option.quant == "Q4_K_M")

    assert option.outcome is not None
    assert omniplan.plan(QWEN[1], single(24, ram_gib=13), n_ctx=8192).server_args == option.outcome.server_args
    assert {"Q2_K", "F16"} == {option.quant for option in found.options if option.is_estimate}


def test_the_first_is_the_most_precise_that_is_worth_its_time() -> None:
    """At least two thirds as fast as the fastest that loses little; then what is slower, then what loses more."""
    found = omniplan.recommend(ZOO / "Qwen3-0.6B-Q8_0.gguf", single(24, ram_gib=13), n_ctx=8192, baselines=False)
    times = {option.quant: option.outcome.request_seconds.value for option in found.options if option.outcome}
    loss = {option.quant: assumed_loss(option.quant, option.bits_per_weight) for option in found.options}
    sound = {quant: took for quant, took in times.items() if loss[quant] <= NOTICED}
    enough = {quant for quant, took in sound.items() if took <= WORTH * min(sound.values())}
    order = [option.quant for option in found.options if option.outcome]

    assert len(found.options) == 12
    assert set(order[: len(enough)]) == enough
    assert set(order[: len(sound)]) == set(sound)
    bits = {option.quant: option.bits_per_weight for option in found.options}
    assert bits[order[0]] == max(bits[quant] for quant in enough)


def test_what_nobody_waits_for_is_not_taken() -> None:
    """Where nothing that loses little is written as fast as people read, the most bits that are; then as ever."""
    model, machine = ZOO / "Llama-3.3-70B-Q4_K_M.gguf", omniplan.load_machine("dual-4090-5070ti")
    found = omniplan.recommend(model, machine, what_if=("Q3_K_M", "IQ3_XXS", "IQ2_M"), baselines=False)
    rates = {o.quant: o.outcome.decode_tokens_per_second.value for o in found.options if o.outcome}

    assert [option.quant for option in found.options] == ["Q3_K_M", "Q4_K_M", "IQ3_XXS", "IQ2_M"]
    assert rates["Q4_K_M"] < READ <= rates["Q3_K_M"]
    assert "what loses less is slower" in everything(recommendation_screen(found)).split("\n\n")[0]


def test_quality_is_what_was_published_or_not_known() -> None:
    """A mix has llama.cpp's own figures with their source, a dynamic quant has none and says what its size is."""
    found = omniplan.recommend(ZOO / "Qwen3-0.6B-Q8_0.gguf", single(24), n_ctx=8192, baselines=False)
    known = {option.quant: option for option in found.options}

    plain, dynamic = known["Q4_K_M"], known["UD-Q4_K_XL"]
    assert plain.quality is not None
    assert (round(plain.quality.loss, 3), plain.quality.measured) == (0.028, "Llama-3-8B")
    assert dynamic.quality is None
    assert "published files were -8% to +6% of that size" in dynamic.assumptions[-1].statement
    assert "ik_llama.cpp" in dynamic.assumptions[-1].source


def test_a_model_trained_in_few_bits_has_no_other_quants() -> None:
    """More bits of MXFP4 add no quality."""
    assert len(omniplan.recommend(ZOO / "gpt-oss-20b-MXFP4_MOE.gguf", single(24), baselines=False).options) == 1


def test_a_context_nobody_asked_for_gives_way() -> None:
    """To the largest with which the file fits; one that was asked for stays, and what is missing is said."""
    model, machine = ZOO / "Qwen3-8B-Q4_K_M.gguf", single(7, ram_gib=4)
    usual = omniplan.recommend(model, machine, what_if=(), baselines=False).options[0]
    asked = omniplan.recommend(model, machine, what_if=(), n_ctx=32768, baselines=False).options[0]

    assert usual.outcome is not None
    assert 0 < usual.n_ctx < 32768
    assert (asked.outcome, asked.n_ctx) == (None, 0)
    assert "short by" in asked.why_not


def test_a_folder_with_all_sorts_of_files(tmp_path: Path) -> None:
    """Every model by its speed, sets of shards once; broken files and projectors are named in a line each."""
    for path in (*QWEN, ZOO / "Qwen3-8B-Q4_K_M.gguf", *ZOO.glob("DeepSeek-R1-Q4_K_M-*")):
        shutil.copy(path, tmp_path)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "broken.gguf").write_bytes(b"GGUF\3\0\0\0")
    (tmp_path / "mmproj-F16.gguf").write_bytes(make_header({"general.architecture": "clip"}, [("a", "f32", (256,))]))
    found = omniplan.recommend(tmp_path, single(48, ram_gib=600), n_ctx=4096, baselines=False)
    times = [option.outcome.request_seconds.value for option in found.options if option.outcome]
    text = everything(recommendation_screen(found))

    assert sorted(times) == times
    assert {(option.model, option.quant) for option in found.options} == {
        ("Qwen3-30B-A3B", "Q4_K_M"), ("Qwen3-30B-A3B", "Q8_0"), ("Qwen3-8B", "Q4_K_M"), ("DeepSeek-R1", "Q4_K_M")
    }  # fmt: skip
    assert {"broken.gguf", "mmproj-F16.gguf"} == {Path(item.path).name for item in found.left_out}
    assert text.startswith(f"{len(times)} of 4 models run on ")
    assert all("\n" not in item.reason for item in found.left_out)


def test_a_context_too_small_for_the_request_is_said() -> None:
    """A plan exists, but its slot cannot hold what is priced."""
    found = omniplan.recommend(ZOO / "Qwen3-0.6B-Q8_0.gguf", single(24), n_ctx=1024, what_if=())

    assert ["a slot of 1,024 tokens cannot hold the request of 2,304"] == [item.why_not for item in found.options]


def test_shards_are_one_model() -> None:
    """Any file of a set stands for the set, and a folder of its parts holds one model."""
    shards = sorted(ZOO.glob("DeepSeek-R1-Q4_K_M-*.gguf"))[:3]
    found = omniplan.recommend(shards, single(96, ram_gib=512), n_ctx=4096, what_if=())

    assert 1 == len(found.options)


def test_nothing_to_rank_is_an_error(tmp_path: Path) -> None:
    """An empty folder, or only broken files, with the reason."""
    with pytest.raises(omniplan.InputError, match="no file of a model to rank"):
        omniplan.recommend(tmp_path, single(24))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DeepSeek R1 BF16", "deepseekr1"),
        ("DeepSeek-R1-Q4_K_M", "deepseekr1"),
        ("DeepSeek-R1-0528", "deepseekr10528"),
        ("Qwen3-0.6B-UD-IQ2_XXS-GGUF", "qwen30.6b"),
    ],
)
def test_names_without_words_about_storage(name: str, expected: str) -> None:
    """How weights are stored does not make another model; everything else in the name does."""
    assert expected == plain_name(name)


def test_the_same_tensors_have_the_same_plan() -> None:
    """What is estimated of a quant is its types: where these are the file's own, nothing else is kept free for them."""
    model, machine = cases.model("GLM-4.7-Flash-Q8_0"), omniplan.load_machine("dual-4090-5070ti")
    again = omniplan.requantise(model, "Q8_0")
    asked = omniplan.Request(n_ctx=131072, baselines=False)
    plan, other = (omniplan.plan(each, machine, asked) for each in (model, again))

    assert again.assumptions
    assert [tensor.type for tensor in again.header.tensors] == [tensor.type for tensor in model.header.tensors]
    assert (plan.server_args, plan.margins) == (other.server_args, other.margins)


def test_files_of_one_model_may_be_called_differently() -> None:
    """Names with words about storage are one model's, and are not told apart."""
    model = omniplan.load_model(ZOO / "Qwen3-0.6B-Q8_0.gguf")
    named = {"general.name": "Qwen3-0.6B-Q4_K_M"}
    small = omniplan.requantise(model, "Q4_K_M")
    header = replace(small.header, metadata={**small.header.metadata, **named})
    found = omniplan.recommend([model, replace(small, header=header)], single(24), n_ctx=4096, baselines=False)

    assert found.is_one_model
    assert found.why
