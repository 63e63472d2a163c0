"""Arguments that a model or a machine shows to be wrong."""

from __future__ import annotations

import re

import pytest

from omniplan.documents.source import read_table
from omniplan.domain.header import ByteOrder, Header, Tensor
from omniplan.domain.hparams import Hparams
from omniplan.domain.machine import Gpu
from omniplan.domain.model import FeedForwardKind, Layer, MixerKind, Model
from omniplan.domain.tensor_type import TYPE_BY_NAME
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags.args import parse
from omniplan.llamacpp.flags.refusals import SplitModes, check, devices_in_use
from omniplan.units import GIB

NAMES = ("CUDA0", "CUDA1")
GPUS = tuple(Gpu(name=name, total=GIB, free=GIB) for name in NAMES)


def make_model(arch: str = "llama", *, head: int = 128, mla: int = 0, n_ctx_train: int = 4096) -> Model:
    """Two layers, the second a nextn layer, with one expert tensor each."""
    tensors = tuple(
        Tensor(name=f"blk.{il}.ffn_up_exps.weight", type=TYPE_BY_NAME["f16"], shape=(32, 32, 2), offset=0)
        for il in range(2)
    )
    header = Header(
        paths=("m.gguf",), version=3, byte_order=ByteOrder.LITTLE, alignment=32,
        metadata={"general.architecture": arch}, tensors=tensors, header_only=True, file_bytes=0,
    )  # fmt: skip
    hparams = Hparams(
        n_vocab=8, n_ctx_train=n_ctx_train, n_embd=32, n_layer_all=2, n_layer_nextn=1, n_head=(1, 1), n_head_kv=(1, 1),
        n_ff=(32, 32), n_embd_head_k=(head, 80), n_embd_head_v=(head, 80), n_rot=(0, 0), has_kv=(True, True),
        n_expert_used=(1, 1), is_swa=(False, False), is_recr=(False, False), is_indexer_full=(False, False),
        n_embd_head_k_mla=mla, n_embd_head_v_mla=mla,
    )  # fmt: skip
    layers = tuple(
        Layer(il=il, mixer=MixerKind.MHA, ffn=FeedForwardKind.MOE, is_nextn=il == 1, tensors=(tensors[il],))
        for il in range(2)
    )
    return Model(header=header, arch=arch, hparams=hparams, layers=layers)


REFUSED = [
    pytest.param("-dev CUDA2", {}, "--device: there is no device 'CUDA2'; did you mean", id="unknown-device"),
    pytest.param("-dev CPU", {}, "--device: there is no device 'CPU'", id="cpu-is-no-device"),
    pytest.param("-dev none,CUDA0", {}, "there is no device 'none'", id="none-among-others"),
    pytest.param("-devd x", {}, "--spec-draft-device: there is no device 'x'", id="draft-device"),
    pytest.param("-mmdev x", {}, "--mmproj-device: there is no device 'x'", id="mmproj-device"),
    pytest.param("-ot a=CUDA_Host", {}, "unknown buffer type 'CUDA_Host' for pattern 'a'", id="host-buffer"),
    pytest.param("-ot a=b=CPU", {}, "this machine has CPU, CUDA0, CUDA1", id="second-equals"),
    pytest.param("-otd a=X", {}, "--spec-draft-override-tensor: unknown buffer type 'X'", id="draft-buffer"),
    pytest.param("-np 257", {}, "--parallel: 257 slots, llama.cpp has at most 256", id="slots"),
    pytest.param("-np 3 -no-kvu", {"arch": "kimi-linear"}, "3 slots do not divide a batch of 512", id="uneven-slots"),
    pytest.param("-c -1", {}, "--ctx-size: -1 is no number of tokens", id="negative-ctx"),
    pytest.param("-b 0", {}, "--batch-size: 0 is no number of tokens", id="no-batch"),
    pytest.param("-ub -1", {}, "--ubatch-size: -1 is no number of tokens", id="negative-ubatch"),
    pytest.param("", {"n_ctx_train": 0}, "the model does not say its training context; give -c", id="no-context"),
    pytest.param("-sm none -mg 2", {}, "--main-gpu: 2 is out of range, 2 devices are available", id="main-gpu"),
    pytest.param("-sm row", {}, "--split-mode: device CUDA0 does not support split buffers; use -sm layer", id="row"),
    pytest.param("-sm tensor", {"arch": "grok"}, "tensor is not implemented for architecture 'grok'", id="tensor-arch"),
    pytest.param("-sm tensor -dev none", {}, "--split-mode: tensor needs a GPU", id="tensor-no-gpu"),
    pytest.param("-sm tensor -fa off", {}, "--split-mode: tensor needs flash attention", id="tensor-fa"),
    pytest.param(
        "-ctv q8_0 -fa off", {}, "q8_0 needs flash attention, which is off; use -ctv f16 or -fa on", id="v-fa"
    ),
    pytest.param("-ctv q8_0", {"arch": "grok"}, "needs flash attention, which grok does not have", id="grok-v"),
    pytest.param("-ctk q8_0", {"head": 80}, "--cache-type-k: q8_0 has blocks of 32, which do not", id="k-block"),
    pytest.param("-ctv q8_0", {"head": 80}, "which do not divide the V head size 80; use f16", id="v-block"),
    pytest.param("-ctk q8_0", {"mla": 64}, "keeps K and V in one cache, q8_0 and f16 differ", id="mla"),
    pytest.param("-ctk q8_0", {"arch": "deepseek4"}, "use -ctk q8_0 -ctv q8_0", id="dsv4"),
    pytest.param("-sm none -ot exps=CUDA1", {}, "'exps=CUDA1' puts blk.0.ffn_up_exps.weight on a device", id="unused"),
    pytest.param("-dev CUDA1 -ot exps=CUDA0", {}, "in use are CPU, CUDA1: change the override", id="unused-by-dev"),
    pytest.param("-sm none --spec-type draft-mtp -ot blk.1.=CUDA1", {}, "puts blk.1.", id="unused-nextn-loaded"),
]


@pytest.mark.parametrize(("line", "model", "message"), REFUSED)
def test_refusal(line: str, model: dict[str, object], message: str) -> None:
    """The error names the flag, the fact and the way out."""
    with pytest.raises(ArgumentError, match=re.escape(message)):
        check(parse(line.split()), make_model(**model), GPUS)  # type: ignore[arg-type]


ACCEPTED = [
    pytest.param("", {}, id="defaults"),
    pytest.param("-dev none -ot exps=CPU -ngl 9", {}, id="cpu-only"),
    pytest.param("-sm none -mg -1", {}, id="negative-main-gpu-is-cpu"),
    pytest.param("-mg 7", {}, id="main-gpu-counts-with-sm-none-only"),
    pytest.param("-sm row -dev none", {}, id="row-without-devices"),
    pytest.param("-sm tensor", {}, id="tensor"),
    pytest.param("-fa on", {"arch": "grok"}, id="grok-turns-fa-off-by-itself"),
    pytest.param("-ctk q8_0 -fa off", {"head": 80}, id="k-block-without-fa"),
    pytest.param("-ctk q8_0 -ctv q8_0 -fa auto", {"mla": 64}, id="mla-same-types"),
    pytest.param("-ctk bf16 -ctv f16", {"head": 80}, id="unquantised"),
    pytest.param("-sm none -ot zzz=CUDA1", {}, id="unused-device-without-a-match"),
    pytest.param("-sm none -ot exps=CPU,exps=CUDA1", {}, id="unused-device-behind-a-match"),
    pytest.param("-sm none -ot blk.1.=CUDA1", {}, id="unused-device-for-a-skipped-layer"),
    pytest.param("-np 4 -no-kvu", {"arch": "kimi-linear"}, id="even-slots"),
    pytest.param("-np 3 -kvu", {"arch": "kimi-linear"}, id="shared-slots"),
    pytest.param("-ub 0", {}, id="ubatch-0-is-the-batch"),
]


@pytest.mark.parametrize(("line", "model"), ACCEPTED)
def test_acceptance(line: str, model: dict[str, object]) -> None:
    """What llama.cpp runs is not refused."""
    check(parse(line.split()), make_model(**model), GPUS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "names", "expected"),
    [
        pytest.param("", NAMES, NAMES, id="all"),
        pytest.param("", ("CUDA0", "RPC0", "RPC1"), ("RPC0", "RPC1", "CUDA0"), id="rpc-first"),
        pytest.param("-dev CUDA1,CUDA0", NAMES, ("CUDA1", "CUDA0"), id="as-given"),
        pytest.param("-dev none", NAMES, (), id="none"),
        pytest.param("-sm none", NAMES, ("CUDA0",), id="sm-none"),
        pytest.param("-sm none -mg 0 -dev CUDA1,CUDA0", NAMES, ("CUDA1",), id="main-gpu-counts-in-dev"),
        pytest.param("", ("Vulkan0", "CUDA0"), ("CUDA0",), id="integrated-beside-another"),
        pytest.param("-dev Vulkan0", ("Vulkan0", "CUDA0"), ("Vulkan0",), id="integrated-as-given"),
        pytest.param("", ("Vulkan0", "RPC0"), ("RPC0", "Vulkan0"), id="integrated-beside-another-host"),
        pytest.param("-sm none -mg -1", NAMES, (), id="negative-main-gpu"),
    ],
)
def test_devices_in_use(line: str, names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """llama_prepare_model_devices."""
    gpus = [Gpu(name=name, total=1, free=1, is_unified=name.startswith("Vulkan")) for name in names]

    assert expected == devices_in_use(parse(line.split()), gpus)


def test_the_split_mode_table_is_sorted_and_sourced() -> None:
    """Thirty architectures, each once."""
    table = read_table("split_mode_tensor.toml", SplitModes)

    assert tuple(sorted(set(table.unsupported))) == table.unsupported
    assert len(table.unsupported) == 30
    assert table.source
    assert table.row.source
