"""What cffi is told of a library: by its build, or by headers that its wheel quotes."""

from __future__ import annotations

import pytest

from omniplan.certify.declarations import declarations, is_declared
from omniplan.certify.library import BUILD
from omniplan.errors import InputError

cffi = pytest.importorskip("cffi")

QUOTED = '''
import nothing_that_is_here
TEXT = """
typedef void * ggml_backend_dev_t;
enum llama_split_mode { LLAMA_SPLIT_MODE_NONE = 0 };
typedef bool (*llama_progress_callback)(float progress, void * user_data);
struct llama_model_params {
    int32_t n_gpu_layers; ggml_backend_dev_t * devices; enum llama_split_mode split_mode; uint64_t fresh;
    llama_progress_callback progress_callback; bool no_alloc;
};
struct llama_context_params { uint32_t n_batch; uint32_t n_ctx; };
struct mtmd_context_params { bool use_gpu; ggml_backend_dev_t device; };
"""
'''


def fields(text: str, struct: str) -> dict[str, str]:
    """Names and types of a struct's fields, in order."""
    ffi = cffi.FFI()
    ffi.cdef(text)
    return {name: field.type.cname for name, field in ffi.typeof(f"struct {struct}").fields}


def test_a_wheel_s_own_headers_decide_order_and_numbers() -> None:
    """Pointers keep the types that the code needs; enums are the integers they are stored in; nothing is run."""
    text = declarations(11739, QUOTED)

    assert fields(text, "llama_model_params") == {
        "n_gpu_layers": "int32_t",
        "devices": "struct ggml_backend_device * *",
        "split_mode": "int",
        "fresh": "uint64_t",
        "progress_callback": "void *",
        "no_alloc": "_Bool",
    }
    assert [*fields(text, "llama_context_params")] == ["n_batch", "n_ctx"]
    assert [*fields(text, "mtmd_params")] == ["use_gpu", "device"]


def test_without_them_the_build_decides() -> None:
    """The pinned build has the cache of experts before the callback that aborts."""
    names = [*fields(declarations(BUILD), "llama_context_params")]

    assert names.index("moe_cache_size") + 1 == names.index("abort_callback")


@pytest.mark.parametrize(
    ("line", "builds"),
    [
        ("int a;", (1, 5, 9)),
        ("int a; // since 5", (5, 9)),
        ("int a; // until 5", (1,)),
        ("int a; // since 2 // until 9", (5,)),
    ],
)
def test_lines_hold_from_and_until_a_build(line: str, builds: tuple[int, ...]) -> None:
    """``since`` names the first build that has it, ``until`` the first that has not."""
    assert builds == tuple(build for build in (1, 5, 9) if is_declared(line, build))


@pytest.mark.parametrize("quoted", ["TEXT = '", 'TEXT = "struct llama_context_params { nothing known; };"'])
def test_headers_that_cannot_be_read_are_one_line(quoted: str) -> None:
    """Neither a broken module nor a type nobody declared."""
    with pytest.raises(InputError, match="its own declarations cannot be read"):
        declarations(11739, quoted)
