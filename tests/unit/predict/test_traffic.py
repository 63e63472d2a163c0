"""What one token touches, counted tensor by tensor from the header's own names."""

from __future__ import annotations

import omniplan
from omniplan.domain.header import Tensor
from omniplan.llamacpp.flags.args import parse
from omniplan.predict.request import placed
from omniplan.predict.traffic import Traffic, traffic

ZOO = "tests/data/models/zoo/"
DENSE = omniplan.load_model(f"{ZOO}Llama-3.1-8B-Q4_K_M.gguf")
MOE = omniplan.load_model(f"{ZOO}Qwen3-30B-A3B-Q4_K_M.gguf")
GEMMA = omniplan.load_model(f"{ZOO}gemma-2-9b-Q4_K_M.gguf")
MACHINE = omniplan.load_machine("single-3090")
ONE = ("-c", "8192", "-np", "1", "-fa", "on", "-ngl")


def touched(model: omniplan.Model, n_gpu_layers: str, *args: str, depth: int = 1000) -> Traffic:
    placement, _ = placed(model, MACHINE, parse([*ONE, n_gpu_layers, *args]))
    return traffic(model, placement, depth=depth)


def read(model: omniplan.Model) -> list[Tensor]:
    """Tensors that a token reads whole: all but the table its own row is looked up in, and rotary factors."""
    names = ("token_embd.weight", "rope_freqs.weight")
    return [tensor for tensor in model.header.tensors if tensor.name not in names]


def test_a_dense_model_is_read_whole_on_the_gpu() -> None:
    """Bytes, parameters that are multiplied, and those of them that are not quantised."""
    found = touched(DENSE, "99")
    matrices = [tensor for tensor in read(DENSE) if len(tensor.shape) > 1]

    assert dict(found.weights) == dict(found.whole) == {"CUDA0": sum(tensor.nbytes for tensor in read(DENSE))}
    assert found.dense["CUDA0"] == sum(tensor.n_elements for tensor in read(DENSE))
    assert found.dense_f16["CUDA0"] == sum(t.n_elements for t in read(DENSE) if not t.type.is_quantized)
    assert found.matrices["CUDA0"] == len(matrices) - 1
    assert (found.gpu_share(), found.streamed, found.cpu_layers) == (1.0, 0, set())
    assert found.gpu_layers == set(range(33))
    assert not found.routed


def test_layers_in_ram_are_read_there_by_type() -> None:
    """The leading half of the layers; their matrices are what a prompt would stream."""
    found = touched(DENSE, "17")
    host = [tensor for tensor in read(DENSE) if tensor.name.startswith("blk.") and int(tensor.name.split(".")[1]) < 16]
    matrices = [tensor for tensor in host if len(tensor.shape) > 1]

    assert found.weights["CPU"] == found.cpu_types.total() == sum(tensor.nbytes for tensor in host)
    assert found.cpu_types["q4_K"] == sum(tensor.nbytes for tensor in host if tensor.type.name == "q4_K")
    assert found.streamed == sum(tensor.nbytes for tensor in matrices)
    assert found.matrices["CPU"] == len(matrices) == found.matrices["CUDA0"]
    assert found.gpu_share() == 0.5
    assert (found.cpu_layers, found.gpu_layers) == (set(range(16)), set(range(16, 33)))


def test_of_experts_those_that_are_asked_for_are_read() -> None:
    """Eight of 128, wherever they are; all of them may stream."""
    experts = [tensor for tensor in read(MOE) if "_exps" in tensor.name]
    others = [tensor for tensor in read(MOE) if "_exps" not in tensor.name]
    found = touched(MOE, "99", "-cmoe")

    assert found.weights["CPU"] == sum(tensor.nbytes for tensor in experts) // 16
    assert found.whole["CPU"] == found.streamed == sum(tensor.nbytes for tensor in experts)
    assert found.routed["CPU"] == sum(tensor.n_elements for tensor in experts) // 16
    assert found.dense["CUDA0"] == sum(tensor.n_elements for tensor in others)
    assert not found.dense["CPU"]
    assert len(found.cpu_layers) == MOE.hparams.n_layer


def test_the_cache_is_read_as_far_as_attention_looks_back() -> None:
    """Keys and values of 1000 tokens in every layer; two products of each head with each of them."""
    h = DENSE.hparams
    found, deeper = touched(DENSE, "99"), touched(DENSE, "99", depth=3000)
    row = h.n_head_kv[0] * (h.n_embd_head_k[0] + h.n_embd_head_v[0]) * 2

    assert dict(found.cache) == {"CUDA0": 1000 * row * h.n_layer}
    assert deeper.cache["CUDA0"] == 3 * found.cache["CUDA0"]
    assert found.attention["CUDA0"] == 2 * 1000 * h.n_layer * h.n_head[0] * (h.n_embd_head_k[0] + h.n_embd_head_v[0])
    assert touched(DENSE, "99", depth=100_000).cache["CUDA0"] == 8192 * row * h.n_layer
    assert set(touched(DENSE, "99", "-nkvo").cache) == {"CPU"}
    quantised = touched(DENSE, "99", "-ctk", "q8_0", "-ctv", "q8_0").cache["CUDA0"]
    assert quantised == found.cache["CUDA0"] * 34 // 64 * (h.n_head[0] // h.n_head_kv[0]), "read per query head"


def test_a_sliding_window_ends_what_a_layer_reads() -> None:
    """Every second layer of gemma 2 looks back 4096 tokens, the others all the way."""
    short, long = touched(GEMMA, "99", depth=4096), touched(GEMMA, "99", depth=8192)

    assert long.cache["CUDA0"] == short.cache["CUDA0"] * 3 // 2
    assert long.attention["CUDA0"] == short.attention["CUDA0"] * 3 // 2
