"""The pinned llama.cpp library: found in its wheel, checked against the declarations, opened through cffi."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from omniplan.certify import abi
from omniplan.domain.tensor_type import TENSOR_TYPES
from omniplan.errors import InputError

PACKAGE: Final = "xllamacpp"
VERSION: Final = "2026.10.11549"
BUILD: Final = 11549
API_VERSION: Final = 3  # ggml-backend-impl.h: GGML_BACKEND_API_VERSION
_INSTALL: Final = "pip install 'omniplan[certify]'"
_OBJECT_SIZE: Final = 32  # ggml.c: struct ggml_object, which stands before every tensor
# Defaults that only fall on the declared fields when the declared layout is the library's.
_MODEL_DEFAULTS: Final = {"n_gpu_layers": -1, "split_mode": 1, "load_mode": -1, "use_extra_bufts": True}
_CONTEXT_DEFAULTS: Final = {
    "n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "flash_attn_type": -1, "type_k": 1, "moe_cache_size": 0,
    "embeddings": False, "offload_kqv": True, "no_perf": True, "op_offload": True, "swa_full": True,
    "kv_unified": False, "n_samplers": 0,
}  # fmt: skip
_PROJECTOR_DEFAULTS: Final = {
    "use_gpu": True, "n_threads": 4, "flash_attn_type": -1, "warmup": True, "image_min_tokens": -1,
    "image_max_tokens": -1, "batch_max_tokens": 1024,
}  # fmt: skip


def is_available() -> bool:
    """Whether the pinned wheel and cffi are installed here."""
    return refusal(installed(), has_cffi=_has_cffi()) is None


def installed() -> str | None:
    """Version of the installed wheel, None without one."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return None


def refusal(found: str | None, *, has_cffi: bool) -> str | None:
    """Why the wheel of version ``found`` cannot be asked, None when it can."""
    if found is None or not has_cffi:
        return f"{PACKAGE if found is None else 'cffi'}: is not installed; {_INSTALL}, or name a llama-fit-params"
    if found != VERSION:
        return f"{PACKAGE} {found}: its interface is not the declared one, that of {VERSION}; {_INSTALL}"
    return None


def _has_cffi() -> bool:
    return importlib.util.find_spec("cffi") is not None


def path() -> Path:
    """The shared object of the pinned wheel; raises InputError when it or cffi is missing or is another version."""
    if reason := refusal(installed(), has_cffi=_has_cffi()):
        raise InputError(reason)
    folder = Path(str(metadata.distribution(PACKAGE).locate_file(PACKAGE)))
    objects = sorted(folder.glob(f"{PACKAGE}*.so"))
    if not objects:
        raise InputError(f"{folder}: holds no library that can be opened; this wheel has one for Linux only")
    return objects[0]


def load(where: Path | None = None) -> tuple[Any, Any]:
    """The cffi interface and the opened, checked library, by default the wheel's; InputError where they differ."""
    from cffi import FFI

    where = where or path()
    ffi = FFI()
    ffi.cdef(abi.TYPES + abi.FUNCTIONS)
    try:
        lib = ffi.dlopen(str(where))
        wrong = _mismatch(ffi, lib)
    except (AttributeError, OSError) as error:
        wrong = str(error)
    if wrong:
        raise InputError(f"{where}: {wrong}; only the library of {PACKAGE} {VERSION} is known; {_INSTALL}")
    return ffi, lib


def _mismatch(ffi: Any, lib: Any) -> str:
    """The first way in which the library is not what is declared, empty when it is."""
    version = lib.ggml_backend_reg_by_name(b"CPU").api_version
    if version != API_VERSION:
        return f"its backend interface is version {version}, not {API_VERSION}"
    checks = (_defaults, _tensor_types, _devices, _tensors)
    return next((wrong for check in checks if (wrong := check(ffi, lib))), "")


def _defaults(_: Any, lib: Any) -> str:
    for name, struct, expected in (
        ("model", lib.llama_model_default_params(), _MODEL_DEFAULTS),
        ("context", lib.llama_context_default_params(), _CONTEXT_DEFAULTS),
        ("projector", lib.mtmd_context_params_default(), _PROJECTOR_DEFAULTS),
    ):
        for field, value in expected.items():
            if getattr(struct, field) != value:
                return f"the {name} parameter {field} is {getattr(struct, field)} by default, not {value}"
    return ""


def _tensor_types(ffi: Any, lib: Any) -> str:
    for kind in TENSOR_TYPES.values():
        name = ffi.string(lib.ggml_type_name(kind.id)).decode()
        if (name, lib.ggml_blck_size(kind.id), lib.ggml_type_size(kind.id)) != (kind.name, kind.block, kind.size):
            return f"tensor type {kind.id} is {name}, not {kind.name} of {kind.size} bytes per {kind.block}"
    return ""


def _devices(_: Any, lib: Any) -> str:
    reg = lib.ggml_backend_reg_by_name(b"CPU")
    device, buft = lib.ggml_backend_reg_dev_get(reg, 0), lib.ggml_backend_cpu_buffer_type()
    agrees = device.reg == reg and device.get_buffer_type(device) == buft
    if not (agrees and device.supports_buft(device, buft) and buft.is_host(buft)):
        return "its device and buffer type structs are laid out differently"
    return ""


def _tensors(ffi: Any, lib: Any) -> str:
    """Build one product and look at it through the declared structs."""
    context = lib.ggml_init(ffi.new("struct init_params *", {"mem_size": 1 << 20, "no_alloc": True})[0])
    a, b = lib.ggml_new_tensor_2d(context, 1, 64, 3), lib.ggml_new_tensor_2d(context, 0, 64, 5)
    product, graph = lib.ggml_mul_mat(context, a, b), lib.ggml_new_graph(context)
    lib.ggml_build_forward_expand(graph, product)
    laid_out = lib.ggml_tensor_overhead() == _OBJECT_SIZE + ffi.sizeof("struct ggml_tensor")
    laid_out = laid_out and list(a.ne) == [64, 3, 1, 1] and list(a.nb)[:2] == [2, 128]
    laid_out = laid_out and list(product.ne)[:2] == [3, 5] and list(product.src)[:2] == [a, b]
    if not (laid_out and ffi.string(lib.ggml_op_name(product.op)) == b"MUL_MAT"):
        return "its tensor struct is laid out differently"
    if (graph.n_nodes, graph.n_leafs) != (1, 2) or graph.nodes[0] != product or graph.visited.size <= 2:
        return "its graph struct is laid out differently"
    return ""
