"""A library of llama.cpp: the pinned one in its wheel or another, opened by cffi, checked against its declarations."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from omniplan.certify.declarations import declarations
from omniplan.domain.tensor_type import TENSOR_TYPES
from omniplan.errors import InputError, install

PACKAGE: Final = "xllamacpp"
VERSION: Final = "2026.10.11549"
BUILD: Final = 11549
# ggml-backend-impl.h: GGML_BACKEND_API_VERSION, by the first build that is known to have it.
INTERFACES: Final = {8672: 2, 11368: 3}
# ggml.h: GGML_TYPE_*, those that came later than the first build that can be asked.
_TYPES_SINCE: Final = {"q2_0": 9917, "f8_e4m3": 12211}
_OBJECT_SIZE: Final = 32  # ggml.c: struct ggml_object, which stands before every tensor
# Defaults that only fall on the declared fields when the declared layout is the library's.
_MODEL_DEFAULTS: Final = {"n_gpu_layers": -1, "split_mode": 1, "use_extra_bufts": True}
_CONTEXT_DEFAULTS: Final = {
    "n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "flash_attn_type": -1, "type_k": 1, "moe_cache_size": 0,
    "embeddings": False, "offload_kqv": True, "no_perf": True, "op_offload": True, "swa_full": True,
    "kv_unified": False, "n_samplers": 0,
}  # fmt: skip
_PROJECTOR_DEFAULTS: Final = {
    "use_gpu": True, "n_threads": 4, "flash_attn_type": -1, "warmup": True, "image_min_tokens": -1,
    "image_max_tokens": -1, "batch_max_tokens": 1024,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One library that can be asked: ``name`` is what it came in, ``build`` its release.

    ``path`` is the object that is opened; what it is linked with lies beside it. ``bindings`` is the path of a Python
    module with its own declarations, empty where there is none.
    """

    name: str
    build: int
    path: str
    bindings: str = ""

    @property
    def source(self) -> str:
        """The library as the source of a figure."""
        return f"llama.cpp b{self.build} in {self.name}, GPUs simulated"


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
        package = PACKAGE if found is None else "cffi"
        return f"{package}: is not installed; {install(package, 'certify')}, or name a llama-fit-params"
    if found != VERSION:
        return (
            f"{PACKAGE} {found}: its interface is not the declared one, that of {VERSION}; "
            f"{install(PACKAGE, 'certify')}"
        )
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


def pinned() -> Library:
    """The library of the pinned wheel; raises InputError as ``path`` does."""
    return Library(name=f"{PACKAGE} {VERSION}", build=BUILD, path=str(path()))


def load(library: Library | None = None) -> tuple[Any, Any]:
    """The cffi interface and the opened, checked library, by default the pinned one; InputError where they differ."""
    from cffi import FFI, CDefError

    library = library or pinned()
    ffi = FFI()
    try:
        bindings = Path(library.bindings).read_text(encoding="utf-8") if library.bindings else ""
        ffi.cdef(declarations(library.build, bindings))
        lib = ffi.dlopen(library.path)
        wrong = _mismatch(ffi, lib, library.build)
    except (AttributeError, OSError, CDefError) as error:
        wrong = str(error)
    if wrong:
        raise InputError(f"{library.path}: {wrong}; it is not driven as b{library.build}")
    return ffi, lib


def _mismatch(ffi: Any, lib: Any, build: int) -> str:
    """The first way in which the library is not what is declared, empty when it is."""
    version, expected = lib.ggml_backend_reg_by_name(b"CPU").api_version, interface(build)
    if version != expected:
        return f"its backend interface is version {version}, not {expected}"
    if wrong := _tensor_types(ffi, lib, build):
        return wrong
    checks = (_defaults, _devices, _tensors)
    return next((wrong for check in checks if (wrong := check(ffi, lib))), "")


def interface(build: int) -> int:
    """The version of the interface of back ends that ``build`` has, 0 for one before all that are known."""
    return next((version for since, version in reversed(INTERFACES.items()) if build >= since), 0)


def _defaults(_: Any, lib: Any) -> str:
    for name, function, expected in (
        ("model", "llama_model_default_params", _MODEL_DEFAULTS),
        ("context", "llama_context_default_params", _CONTEXT_DEFAULTS),
        ("projector", "mtmd_context_params_default", _PROJECTOR_DEFAULTS),
    ):
        # Not every library comes with the multimodal one.
        struct = getattr(lib, function)() if hasattr(lib, function) else None
        for field in (name for name in expected if hasattr(struct, name)):
            if getattr(struct, field) != expected[field]:
                return f"the {name} parameter {field} is {getattr(struct, field)} by default, not {expected[field]}"
    return ""


def _tensor_types(ffi: Any, lib: Any, build: int) -> str:
    for kind in TENSOR_TYPES.values():
        # The table of an older build ends before it, and nothing looks where.
        if build < _TYPES_SINCE.get(kind.name, 0):
            continue
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
