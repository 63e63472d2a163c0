"""llama-server's command line and environment, by the rules of common/arg.cpp."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.params import NEVER_SHRINK, DraftParams, KvOverride, LoadMode, Numa, Override, ServerParams
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.numbers import atof, atol, stof, stoi, stoul
from omniplan.units import MIB

# Fields after a command line; each was compared with what common_params_parse_ex itself leaves behind.
PARSED = [
    pytest.param("", {}, id="nothing"),
    pytest.param("-m a.gguf", {"model": "a.gguf"}, id="model"),
    pytest.param("-c 4096", {"n_ctx": 4096, "n_ctx_given": True}, id="ctx"),
    pytest.param("--ctx_size 7", {"n_ctx": 7, "n_ctx_given": True}, id="underscores"),
    pytest.param("-c 8k", {"n_ctx": 8, "n_ctx_given": True}, id="trailing-rubbish-is-ignored"),
    pytest.param("-c 0", {"n_ctx_given": True, "fit_ctx": NEVER_SHRINK}, id="ctx-0-is-not-to-shrink"),
    pytest.param("-c 0 -c 9", {"n_ctx": 9, "n_ctx_given": True, "fit_ctx": NEVER_SHRINK}, id="ctx-0-then-9"),
    pytest.param("-c 0 -fitc 512", {"n_ctx_given": True, "fit_ctx": 512}, id="fit-ctx-after-ctx-0"),
    pytest.param("-b 1 -b 2", {"n_batch": 2}, id="last-wins"),
    pytest.param("-no-kvu -kvu", {"kv_unified": True}, id="last-of-a-pair-wins"),
    pytest.param("-ngl auto", {"n_gpu_layers": -1}, id="ngl-auto"),
    pytest.param("-ngl all", {"n_gpu_layers": -2}, id="ngl-all"),
    pytest.param("--n-gpu-layers -5", {"n_gpu_layers": -5}, id="ngl-negative"),
    pytest.param("-fa 1", {"flash_attn": "on"}, id="fa-1"),
    pytest.param("-fa -1", {"flash_attn": "auto"}, id="fa-minus-1"),
    pytest.param("-fa disabled", {"flash_attn": "off"}, id="fa-disabled"),
    pytest.param("-ctk q8_0 -ctv iq4_nl", {"cache_type_k": "q8_0", "cache_type_v": "iq4_nl"}, id="cache-types"),
    pytest.param("-nkvo", {"offload_kqv": False}, id="nkvo"),
    pytest.param("-nr --no-host", {"repack": False, "no_host": True}, id="host-buffers"),
    pytest.param("-ts 3/1", {"tensor_split": (3.0, 1.0)}, id="ts-slash"),
    pytest.param("-ts 3,,1,", {"tensor_split": (3.0, 1.0)}, id="ts-runs-and-tail"),
    pytest.param("-sm none -mg 1", {"split_mode": "none", "main_gpu": 1}, id="sm-mg"),
    pytest.param("-dev CUDA1,CUDA0", {"devices": ("CUDA1", "CUDA0")}, id="dev"),
    pytest.param("-dev none", {"devices": ()}, id="dev-none"),
    pytest.param("-fit off", {"fit": False}, id="fit"),
    pytest.param("-fitt 512", {"fit_target": (512 * MIB,) * 16}, id="fitt-one"),
    pytest.param("-fitt 1,2", {"fit_target": (MIB, 2 * MIB, *(1024 * MIB,) * 14)}, id="fitt-some"),
    pytest.param("-lm mmap+mlock", {"load_mode": LoadMode.MMAP_MLOCK}, id="load-mode"),
    pytest.param("--numa isolate", {"numa": Numa.ISOLATE}, id="numa"),
    pytest.param("-t 0 -tb -1", {"n_threads": 0, "n_threads_batch": 0}, id="threads-of-the-machine"),
    pytest.param("--rerank", {"embedding": True, "pooling": "rank"}, id="rerank"),
    pytest.param("--spec-type draft-mtp --spec-default", {"spec_types": ("draft-mtp", "ngram-mod")}, id="spec-adds-up"),
    pytest.param("--spec-type ngram-mod,none,x", {}, id="spec-none-drops"),
    pytest.param("-mmdev none", {"mmproj_offload": False}, id="mmdev"),
    pytest.param("--override-kv a=int:5,b=bool:true", {"override_kv": (KvOverride("a", 5), KvOverride("b", True))},
                 id="kv"),
    pytest.param('--override-kv "a=str:x,y"', {"override_kv": (KvOverride("a", "x,y"),)}, id="kv-quoted"),
    pytest.param("--gpt-oss-20b-default", {"n_ctx": 262144, "n_batch": 32768, "n_ubatch": 2048, "n_parallel": 2,
                                           "extra": (("--gpt-oss-20b-default", ""),)}, id="preset"),
    pytest.param("--no-jinja --port 80", {"extra": (("--no-jinja", ""), ("--port", "80"))}, id="extra"),
    pytest.param("--control-vector-layer-range 1 2", {"extra": (("--control-vector-layer-range", "1 2"),)}, id="pair"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "fields"), PARSED)
def test_parse(line: str, fields: dict[str, object]) -> None:
    """Only the fields named differ from llama-server's defaults."""
    expected = ServerParams(**fields)  # type: ignore[arg-type]

    assert expected == parse(line.split())


def test_overrides_keep_command_line_order() -> None:
    """-ot, -cmoe, -ncmoe and -ncffn share one list."""
    params = parse(["-ncffn", "1", "-ot", "a=CUDA0", "-cmoe", "-ncmoe", "1"])

    expected = [
        r"blk\.0\.ffn_(up|down|gate)\.",
        "a",
        r"\.ffn_(up|down|gate|gate_up)_(ch|)exps",
        r"blk\.0\.ffn_(up|down|gate|gate_up)_(ch|)exps",
    ]
    assert expected == [override.pattern for override in params.overrides]


def test_draft_flags_have_their_own_fields() -> None:
    """The draft model is recorded apart."""
    params = parse("-md d.gguf -ngld all -devd CUDA1 -otd x=CPU -ctkd q8_0 --spec-draft-n-max 8".split())

    expected = DraftParams(
        model="d.gguf",
        n_gpu_layers=-2,
        devices=("CUDA1",),
        overrides=(Override("x", "CPU"),),
        cache_type_k="q8_0",
        n_max=8,
    )
    assert expected == params.draft


REFUSED = [
    pytest.param("--nope", "--nope: llama-server does not know this flag", id="unknown"),
    pytest.param("--n-gpu-layer 3", "did you mean --n-gpu-layers?", id="close-match"),
    pytest.param("-c=3", "write '-c' and its value apart", id="equals-sign"),
    pytest.param("model.gguf", "model.gguf: llama-server does not know this flag", id="positional"),
    pytest.param("-c", "-c: expected a value", id="no-value"),
    pytest.param("--control-vector-layer-range 1", "expected a value", id="half-a-pair"),
    pytest.param("-fa yes", "-fa: 'yes' is not a value it knows; use one of on, off, auto", id="fa-yes"),
    pytest.param("-fit auto", "-fit: 'auto' is not a value it knows", id="fit-auto"),
    pytest.param("-c x", "-c: 'x' is not an integer", id="not-a-number"),
    pytest.param("-c 2147483648", "does not fit 32 bits", id="too-large"),
    pytest.param("-np 0", "-np: 0 is not allowed", id="np-0"),
    pytest.param(
        "-ncmoe -1", "-ncmoe: -1 is not allowed; -ncmoe / --n-cpu-moe takes an integer at least 0", id="ncmoe"
    ),
    pytest.param("-ctk f8", "-ctk: 'f8' is not a value it knows; use one of f32, f16", id="cache-type"),
    pytest.param("-ctk Q8_0", "'Q8_0' is not a value it knows", id="cache-type-case"),
    pytest.param("-ts ,1", "-ts: '' is not a number", id="ts-leading"),
    pytest.param("-ts " + ",".join("1" * 16), "16 values, but llama.cpp takes at most 15", id="ts-16"),
    pytest.param("-ts 1e39", "does not fit a float", id="ts-range"),
    pytest.param("-ot exps", "-ot: 'exps' has no '=<buffer type>'", id="ot"),
    pytest.param("-ot [=CPU", "pattern '[' is not an ECMAScript regular expression", id="ot-pattern"),
    pytest.param("-ncmoe 4096", "4096 tensor overrides, llama.cpp aborts", id="too-many-overrides"),
    pytest.param("--draft-max many", "--draft-max: 'many' is not an integer", id="draft-max"),
    pytest.param("--spec-type zzz", "'zzz' is not a kind of speculation", id="spec-type"),
    pytest.param("--override-kv a=bool:1", "'1' is neither true nor false", id="kv-bool"),
    pytest.param("--override-kv a=5", "is not KEY=TYPE:VALUE", id="kv-type"),
    pytest.param("-mmdev a,b", "only one device", id="mmdev"),
]


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_refusal(line: str, message: str) -> None:
    """The error names the flag as it was typed and the way out."""
    with pytest.raises(ArgumentError, match=re.escape(message)):
        parse(line.split())


ENVIRONMENT = [
    pytest.param({"LLAMA_ARG_CTX_SIZE": "512"}, {"n_ctx": 512, "n_ctx_given": True}, id="value"),
    pytest.param({"LLAMA_ARG_KV_UNIFIED": "on"}, {"kv_unified": True}, id="pair-on"),
    pytest.param({"LLAMA_ARG_KV_UNIFIED": "false"}, {"kv_unified": False}, id="pair-off"),
    pytest.param(
        {"LLAMA_ARG_KV_UNIFIED": "1", "LLAMA_ARG_NO_KV_UNIFIED": ""}, {"kv_unified": False}, id="no-form-wins"
    ),
    pytest.param({"LLAMA_ARG_SWA_FULL": "1"}, {"swa_full": True}, id="flag"),
    pytest.param({"LLAMA_ARG_SWA_FULL": "yes"}, {}, id="flag-not-truthy-is-ignored"),
    pytest.param({"LLAMA_ARG_NUMA": ""}, {"numa": Numa.DISTRIBUTE}, id="empty-numa"),
]


@pytest.mark.parametrize(("env", "fields"), ENVIRONMENT)
def test_environment(env: dict[str, str], fields: dict[str, object]) -> None:
    """Variables set what their flags set, and are recorded."""
    expected = ServerParams(env=tuple(sorted(env.items())), **fields)  # type: ignore[arg-type]

    assert expected == parse([], env=env)


def test_the_command_line_beats_the_environment() -> None:
    """Lower priority, but overrides still come first in the shared list."""
    env = {"LLAMA_ARG_UBATCH": "64", "LLAMA_ARG_OVERRIDE_TENSOR": "a=CPU", "LLAMA_ARG_CPU_MOE": "1"}

    params = parse(["-ub", "128", "-ot", "b=CPU"], env=env)

    assert params.n_ubatch == 128
    expected = ["a", r"\.ffn_(up|down|gate|gate_up)_(ch|)exps", "b"]
    assert expected == [override.pattern for override in params.overrides]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        pytest.param({"LLAMA_ARG_KV_UNIFIED": "x"}, "LLAMA_ARG_KV_UNIFIED: 'x' is neither on nor off", id="boolean"),
        pytest.param({"LLAMA_ARG_CTX_SIZE": ""}, "LLAMA_ARG_CTX_SIZE: '' is not an integer", id="empty"),
    ],
)
def test_environment_refusal(env: dict[str, str], message: str) -> None:
    """The error names the variable."""
    with pytest.raises(ArgumentError, match=re.escape(message)):
        parse([], env=env)


@pytest.mark.parametrize(
    ("line", "n_seq_max", "is_kv_unified", "n_ctx_asked"),
    [
        pytest.param("", 4, True, 0, id="default"),
        pytest.param("-np -3 -no-kvu", 4, True, 0, id="auto-forces-unified"),
        pytest.param("-np 2", 2, False, 0, id="two"),
        pytest.param("-np 2 -kvu --kv-unified-per-slot 100", 2, True, 200, id="per-slot"),
        pytest.param("-c 0 --kv-unified-per-slot 100", 4, True, 0, id="per-slot-with-ctx-0"),
    ],
)
def test_slots(line: str, n_seq_max: int, is_kv_unified: bool, n_ctx_asked: int) -> None:
    """What tools/server/server.cpp makes of -np, -kvu and --kv-unified-per-slot."""
    params = parse(line.split())

    assert (n_seq_max, is_kv_unified, n_ctx_asked) == (params.n_seq_max, params.is_kv_unified, params.n_ctx_asked)


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from(("", "k", ".5", " 3")))
def test_stoi_reads_the_leading_integer(value: int, tail: str) -> None:
    """Like std::stoi, whatever follows is ignored."""
    assert value == stoi(f" {value}{tail}")


@given(st.floats(width=32, allow_subnormal=False))
def test_stof_is_exact_for_float32(value: float) -> None:
    """Every float32 survives its shortest text."""
    actual = stof(repr(value))

    assert actual == value or (math.isnan(value) and math.isnan(actual))


def test_the_other_number_readers() -> None:
    """Wrapping, signs, hexadecimal floats and the forgiving C functions."""
    expected = (2**64 - 1, 16.5, -5, 0, 1.5, 0.0)
    assert expected == (stoul("-1"), stof("0x10.8"), atol("-5x"), atol("x"), atof("1.5x"), atof(""))


@given(st.lists(st.sampled_from(["-kvu", "-no-kvu", "-nkvo", "--swa-full", "--no-host", "-nr"]), max_size=6))
def test_flags_without_values_commute_unless_paired(flags: list[str]) -> None:
    """Only the last of a negatable pair counts; repeating changes nothing."""
    once = [flag for at, flag in enumerate(flags) if flag not in flags[at + 1 :]]

    assert parse(once) == parse(flags)


@pytest.mark.parametrize("args", ["-c 4096", ["-c", 4096], [None]])
def test_a_command_line_is_a_list_of_texts(args: Sequence[str]) -> None:
    """What Python lets one pass instead is refused as any other argument."""
    with pytest.raises(ArgumentError, match="text"):
        parse(args)
