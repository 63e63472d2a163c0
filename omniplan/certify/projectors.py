"""What llama.cpp's multimodal library counts for a projector (tools/mtmd/mtmd.cpp: ``mtmd_get_memory_usage``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omniplan.certify.parameters import FLASH_ATTN, Structs
from omniplan.domain.footprint import BufferSize
from omniplan.domain.params import ServerParams


def usage(structs: Structs, params: ServerParams, path: str, n_ubatch: int) -> Mapping[str, BufferSize]:
    """Bytes per device, weights and compute buffer as one; empty where the file at ``path`` is refused.

    An image that has to fit into a micro-batch is made no larger (server-context.cpp: load_model).
    """
    asked = _params(structs, params)
    found = _ask(structs, asked, path)
    if found.use_non_causal and found.image_max_tokens > n_ubatch:
        asked.image_max_tokens, asked.image_min_tokens = n_ubatch, min(asked.image_min_tokens, n_ubatch)
        found = _ask(structs, asked, path)
    return dict(_sizes(structs, found.root))


def _params(structs: Structs, params: ServerParams) -> Any:
    devices = structs.backend.devices
    asked = structs.lib.mtmd_context_params_default()
    first = params.mmproj_device or next(iter(params.devices or ()), None)
    asked.use_gpu = params.mmproj_offload and (first is not None or params.devices is None)
    asked.device = devices[first] if first and asked.use_gpu else structs.ffi.NULL
    asked.flash_attn_type = FLASH_ATTN[params.flash_attn]
    asked.image_min_tokens, asked.image_max_tokens = params.image_min_tokens, params.image_max_tokens
    return asked


def _ask(structs: Structs, asked: Any, path: str) -> Any:
    # It returns no plain struct, so that its caller says where that goes.
    found = structs.ffi.new("struct projector_usage *")
    structs.lib._Z21mtmd_get_memory_usagePKc19mtmd_context_params(found, path.encode(), asked)
    return found


def _sizes(structs: Structs, node: Any) -> Iterator[tuple[str, BufferSize]]:
    """The map, by device's name."""
    if node:
        yield from _sizes(structs, node.left)
        name = structs.ffi.string(structs.lib.ggml_backend_dev_name(node.device)).decode()
        yield name, BufferSize(compute=node.size)
        yield from _sizes(structs, node.right)
