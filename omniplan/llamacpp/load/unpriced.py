"""What a command asks for that no figure holds yet, so that whether it fits is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from omniplan.domain.footprint import Unpriced
from omniplan.domain.machine import Gpu
from omniplan.domain.model import Model
from omniplan.domain.params import ServerParams, SplitMode
from omniplan.llamacpp.ggml.registry import BACKENDS, backend_name

_LOAD: Final = "tools/server/server-context.cpp: load_model"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One row: how an ``Unpriced`` reads, the words of it that parameters or flags of no other use carry.

    ``flags`` are long names of flags that are only remembered (``ServerParams.extra``).
    """

    subject: str
    what: str
    source: str
    is_asked: Callable[[ServerParams], object] = lambda _: False
    flags: tuple[str, ...] = ()
    only_adds: bool = True

    def asked(self, params: ServerParams) -> bool:
        """Whether ``params`` bring it in."""
        return bool(self.is_asked(params)) or any(name in self.flags for name, _ in params.extra)

    @property
    def unpriced(self) -> Unpriced:
        """What is said of it."""
        return Unpriced(subject=self.subject, what=self.what, source=self.source, only_adds=self.only_adds)


_KINDS: Final = (
    _Kind(
        subject="--mmproj",
        what="the projector's weights and compute buffer",
        source=_LOAD,
        is_asked=lambda params: params.mmproj is not None,
        flags=("--mmproj-url", "--vision-gemma-4b-default", "--vision-gemma-12b-default"),
    ),
    _Kind(
        subject="--spec-draft-model",
        what="the draft model, its cache and its compute buffer",
        source=_LOAD,
        is_asked=lambda params: params.draft.model is not None,
        flags=("--spec-draft-hf", "--fim-qwen-7b-spec", "--fim-qwen-14b-spec"),
    ),
    _Kind(
        subject="--spec-type draft-mtp",
        what="the MTP layers' weights, cache and compute buffer, and further recurrent states",
        source=_LOAD,
        is_asked=lambda params: "draft-mtp" in params.spec_types,
    ),
    _Kind(
        subject="--spec-type",
        what="the rows of logits that drafted tokens need",
        source="common/speculative.cpp: common_speculative_get_output_limits",
        is_asked=lambda params: set(params.spec_types) - {"draft-mtp"},
    ),
    _Kind(
        subject="--lora",
        what="the adapters' weights and what applying them takes",
        source="src/llama-adapter.cpp",
        flags=("--lora", "--lora-scaled"),
    ),
    _Kind(
        subject="--control-vector",
        what="the control vectors",
        source="src/llama-adapter.cpp",
        flags=("--control-vector", "--control-vector-scaled"),
    ),
    _Kind(
        subject="--embedding",
        what="pooling and the output rows of a whole batch",
        source="src/llama-graph.cpp: build_pooling",
        is_asked=lambda params: params.embedding,
        only_adds=False,
    ),
    _Kind(
        subject="--backend-sampling",
        what="samplers in the graph",
        source="src/llama-graph.cpp: build_sampling",
        is_asked=lambda params: params.backend_sampling,
    ),
    _Kind(
        subject="--split-mode tensor",
        what="how tensors are divided; the figures are those of -sm layer",
        source="src/llama-model.cpp: llama_meta_device_get_split_state",
        is_asked=lambda params: params.split_mode is SplitMode.TENSOR,
        only_adds=False,
    ),
    _Kind(
        subject="--split-mode row",
        what="how rows are divided; the figures are those of -sm layer",
        source="src/llama-model.cpp: make_gpu_buft_list",
        is_asked=lambda params: params.split_mode is SplitMode.ROW,
        only_adds=False,
    ),
    _Kind(
        subject="--rpc",
        what="the devices of other hosts",
        source="ggml/src/ggml-rpc/ggml-rpc.cpp",
        is_asked=lambda params: params.rpc,
        only_adds=False,
    ),
    _Kind(
        subject="--moe-cache-mib",
        what="a cache of experts on the GPUs, which builds after b11434 have",
        source="src/llama-moe-cache.cpp of b11549",
        flags=("--moe-cache-mib",),
    ),
)


def unpriced(model: Model, params: ServerParams, gpus: Sequence[Gpu]) -> Iterator[Unpriced]:
    """Everything that ``params`` bring in, or the ``gpus`` in use are, and that is not priced."""
    yield from (kind.unpriced for kind in _KINDS if kind.asked(params))
    keys = [item.key for item in params.override_kv if item.key.startswith((f"{model.arch}.", "general."))]
    if keys:
        yield Unpriced(
            subject="--override-kv",
            what=f"{', '.join(keys)}, read as the file has it",
            source="src/llama-model-loader.cpp: get_key",
            only_adds=False,
        )
    yield from unpriced_devices(gpus)


def unpriced_devices(gpus: Sequence[Gpu]) -> Iterator[Unpriced]:
    """Those of ``gpus`` whose back end is not priced, back end by back end."""
    names: dict[str, list[str]] = {}
    for gpu in gpus:
        names.setdefault(backend_name(gpu), []).append(gpu.name)
    for backend, devices in names.items():
        if backend not in BACKENDS:
            yield Unpriced(
                subject=", ".join(devices),
                what=f"what the back end {backend} does otherwise than CUDA",
                source="omniplan.llamacpp.ggml.registry",
                only_adds=False,
            )
