"""Where a projector goes, how large its image is, and what is said of one that is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omniplan
from omniplan.domain.footprint import ContextKind, Footprint
from omniplan.domain.header import Header
from omniplan.domain.machine import Machine
from omniplan.domain.model import Companions, Model
from omniplan.errors import ArgumentError, OmniplanError, UnsupportedModel
from omniplan.gguf import read_header
from omniplan.llamacpp.fit.fit import fit
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.projector import families
from omniplan.llamacpp.projector.encoder import encoders
from omniplan.llamacpp.projector.kinds import kinds
from omniplan.llamacpp.projector.memory import held, set_aside
from omniplan.units import MIB
from tests.oracle import cases
from tests.projectors import Tower, write_projector
from tests.property.strategies import examples
from tests.towers import TOWERS

GPU = {"total_mib": 24000, "compute_capability": "8.6"}
SMALL = ("-ngl", "99", "-c", "512")


def machine(*names: str, unified: Sequence[str] = ()) -> Machine:
    """GPUs of these names, and RAM that is large enough."""
    gpus = [{"name": name, "unified": name in unified, **GPU} for name in names]
    return Machine.from_dict({"name": "some", "gpus": gpus, "memory": {"total_mib": 65536}})


@pytest.fixture(scope="module")
def file_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The file of a tower, with changes."""

    def write(name: str, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("projector")
        return write_projector(folder / f"{name}.gguf", replace(TOWERS[name], **changes))

    return write


@pytest.fixture(scope="module")
def small(file_of: Callable[..., Path]) -> Path:
    """A projector whose one image has one size."""
    return file_of("smolvlm-500m")


def price(file: Path, machine: Machine, *args: str) -> Footprint:
    """A small model with ``file`` beside it."""
    model = cases.model("llama-dense")
    return omniplan.footprint(model, machine, [*SMALL, "--mmproj", str(file), *args])


def places(priced: Footprint) -> set[str]:
    """The buffer types that hold weights of the projector."""
    return {name for name, size in priced.contexts[ContextKind.PROJECTOR].items() if size.model}


@pytest.mark.parametrize(
    ("args", "place"),
    [
        ((), "CUDA0"),
        (("-mmdev", "CUDA1"), "CUDA1"),
        (("-dev", "CUDA1,CUDA0"), "CUDA1"),
        (("-dev", "CUDA1", "-mmdev", "CUDA0"), "CUDA0"),
        (("-sm", "none", "-mg", "1"), "CUDA0"),
        (("-mmdev", "none"), "CPU"),
        (("-dev", "none"), "CPU"),
        (("--no-mmproj-offload",), "CPU"),
        (("-ngl", "0"), "CUDA0"),
    ],
)
def test_it_lies_on_one_device(args: tuple[str, ...], place: str, small: Path) -> None:
    """The first one, or the one that arguments say, however the model itself is divided."""
    priced = price(small, machine("CUDA0", "CUDA1"), *args)

    assert places(priced) == {place}
    assert priced.fits is True


def test_an_integrated_gpu_comes_last(small: Path) -> None:
    """llama.cpp looks for one of its own first."""
    assert places(price(small, machine("CUDA0", "CUDA1", unified=["CUDA0"]))) == {"CUDA1"}
    assert places(price(small, machine("CUDA0", unified=["CUDA0"]))) == {"CUDA0"}


def test_it_is_part_of_what_pools_hold(small: Path) -> None:
    """Its bytes come on top of what the model takes alone."""
    alone = omniplan.footprint(cases.model("llama-dense"), machine("CUDA0"), SMALL)
    both = price(small, machine("CUDA0"))
    own = both.contexts[ContextKind.PROJECTOR]

    assert {pool.name: pool.used for pool in both.pools} == {
        "CUDA0": alone.pools[0].used + own["CUDA0"].total,
        "RAM": alone.pools[1].used + own["CPU"].total,
    }
    assert own["CUDA0"].total > 200 * MIB


def test_one_that_does_not_fit_is_found(small: Path) -> None:
    """A card that the model fits on alone, and not with it."""
    card = Machine.from_dict(
        {"name": "tiny", "gpus": [{"name": "CUDA0", "total_mib": 150}], "memory": {"total_mib": 65536}}
    )

    assert omniplan.footprint(cases.model("llama-dense"), card, SMALL).fits is True
    assert price(small, card).fits is False


def test_a_file_that_is_not_there_is_not_known(tmp_path: Path) -> None:
    """As before it was priced."""
    priced = price(tmp_path / "nowhere.gguf", machine("CUDA0"))

    assert (priced.fits, [item.subject for item in priced.unpriced]) == (None, ["--mmproj"])


def test_a_type_without_a_graph_says_its_name(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights are counted all the same."""
    monkeypatch.delitem(families.FAMILIES, "idefics3")
    priced = price(small, machine("CUDA0"))

    assert priced.fits is None
    assert [item.what for item in priced.unpriced] == ["the compute buffer of a projector of type idefics3"]
    assert priced.contexts[ContextKind.PROJECTOR]["CUDA0"].model > 100 * MIB


@pytest.mark.parametrize("kind", ["gemma3na", "of tomorrow"])
def test_a_type_that_the_build_does_not_load_is_an_error(kind: str, file_of: Callable[..., Path]) -> None:
    """The server would not start."""
    with pytest.raises(UnsupportedModel, match=f"b11434 has no projector of type '{kind}'"):
        price(file_of("gemma3-4b", kind=kind), machine("CUDA0"))


def test_a_model_is_no_projector() -> None:
    """What it is said not to be is what the loader asks for."""
    with pytest.raises(UnsupportedModel, match=r"neither clip\.has_vision_encoder nor clip\.has_audio_encoder"):
        encoders(cases.model("llama-dense").header)


def test_a_missing_tensor_is_an_error(file_of: Callable[..., Path]) -> None:
    """It is named."""
    with pytest.raises(UnsupportedModel, match=r"tensor mm\.model\.fc\.weight is missing"):
        price(file_of("smolvlm-500m", rest=TOWERS["gemma3-4b"].rest), machine("CUDA0"))


def header(name: str, folder: Path) -> Header:
    """One of the towers."""
    return read_header(write_projector(folder / "some.gguf", TOWERS[name]))


@pytest.mark.parametrize(
    ("name", "asked", "side"),
    [
        ("qwen3.6-27b", {}, 1472),
        ("qwen3.6-27b", {"most_tokens": 1024}, 1024),
        ("qwen3.6-27b", {"most_tokens": 1000}, 992),
        ("qwen3.6-27b", {"most_tokens": 4096}, 1472),
        ("gemma4-31b", {}, 768),
        ("lfm2-vl-1.6b", {}, 512),
        ("lfm2-vl-1.6b", {"most_tokens": 100}, 320),
        ("gemma3-4b", {"most_tokens": 64}, 896),
        ("paddleocr-vl", {}, 784),
        ("kimi-k2.5", {}, 1792),
    ],
)
def test_the_image_of_the_warm_up(name: str, asked: dict[str, int], side: int, tmp_path: Path) -> None:
    """A fixed number of tokens unless fewer are allowed, the largest image, or the one size there is."""
    (encoder,) = encoders(header(name, tmp_path), **asked)

    assert (encoder.width, encoder.height) == (side, side)


def test_too_few_tokens_are_refused(tmp_path: Path) -> None:
    """The loader compares pixels, and gives up."""
    with pytest.raises(ArgumentError, match="at least 70 tokens, and may have 16"):
        encoders(header("gemma4-31b", tmp_path), most_tokens=16)
    with pytest.raises(ArgumentError, match="at least 300 tokens, and may have 200"):
        encoders(header("gemma4-31b", tmp_path), least_tokens=300, most_tokens=200)


def served(name: str, folder: Path) -> Model:
    """A small model with a tower beside it."""
    return replace(cases.model("llama-dense"), companions=Companions(projector=header(name, folder)))


def test_an_image_has_to_fit_into_a_small_micro_batch(tmp_path: Path) -> None:
    """Gemma 4 looks at it in both directions; --fit does not know of that yet."""
    model, host, params = served("gemma4-31b", tmp_path), machine("CUDA0"), parse(["-ub", "100"])
    small, large = (held(model, host, params, n_ubatch)["CUDA0"].compute for n_ubatch in (100, 512))

    assert small < large
    assert set_aside(model, host, params) == set_aside(model, host, parse([]))


def test_fit_keeps_a_margin_by_place_among_all_devices(tmp_path: Path) -> None:
    """With devices in another order it is the wrong one, as in llama-server."""
    model, host = served("gemma4-31b", tmp_path), machine("CUDA0", "CUDA1")
    params = parse(["-c", "512", "-dev", "CUDA1,CUDA0"])
    kept = set_aside(model, host, params)
    bare = replace(model, companions=Companions())
    margins = (params.fit_target[0], params.fit_target[1] + kept["CUDA1"], *params.fit_target[2:])

    assert fit(model, host, params) == fit(bare, host, replace(params, fit_target=margins))


def test_every_graph_is_of_a_type() -> None:
    """No builder that no row names."""
    assert {kind.graph for kind in kinds().values()} >= set(families.FAMILIES)
    assert len(kinds()) == 63


NUMBERS = st.one_of(st.integers(0, 64), st.sampled_from([127, 1024, 65536, 1 << 31, (1 << 32) - 1]))
KEYS = (
    "embedding_length", "block_count", "attention.head_count", "attention.head_count_kv", "image_size", "patch_size",
    "spatial_merge_size", "projector.scale_factor", "n_wa_pattern", "image_max_pixels", "projection_dim",
    "projector.stack_factor", "num_mel_bins", "feed_forward_length",
)  # fmt: skip


@examples(40)
@given(name=st.sampled_from(sorted(TOWERS)), changes=st.dictionaries(st.sampled_from(KEYS), NUMBERS, min_size=1))
def test_no_number_breaks_it(name: str, changes: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A header with any numbers is priced, or it is one of our errors."""
    tower = shrunk(TOWERS[name])
    file = write_projector(tmp_path_factory.mktemp("any") / "any.gguf", replace(tower, keys={**tower.keys, **changes}))
    try:
        model = replace(cases.model("llama-dense"), companions=Companions(projector=read_header(file)))
        found = held(model, machine("CUDA0"), parse([]), 512)
    except OmniplanError:
        return

    assert all(size.total >= 0 for size in found.values())


def shrunk(tower: Tower) -> Tower:
    """With few layers, which are all alike."""
    return replace(tower, n_layer=min(tower.n_layer, 2))
