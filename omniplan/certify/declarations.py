"""The C declarations of one library: ``abi`` as of its build, and its own structs of parameters where it tells them.

A line of ``abi.TYPES`` that ends with ``// since N`` or ``// until N`` is declared from build N on, or before it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from omniplan.certify import abi
from omniplan.errors import InputError

_MARK: Final = re.compile(r"// (since|until) (\d+)")
_STRUCT: Final = re.compile(r"^struct (\w+) \{\n(.*?)\n\};$", re.DOTALL | re.MULTILINE)
_FIELD: Final = re.compile(r"([\w ]+?[ *]+)(\w+);")
_QUOTED: Final = "struct llama_context_params {"
# Structs that a public header declares, by our name; those of back ends are in none that a wheel quotes.
_PUBLIC: Final = {
    "llama_model_params": "llama_model_params",
    "llama_context_params": "llama_context_params",
    "mtmd_params": "mtmd_context_params",
}


def declarations(build: int, bindings: str = "") -> str:
    """Everything ``cffi`` has to be told of the library of ``build``.

    ``bindings`` is the text of a Python module that quotes its llama.h and mtmd.h for cffi, empty where there is none.
    Raises InputError when that cannot be read.
    """
    types = "\n".join(line for line in abi.TYPES.splitlines() if is_declared(line, build))
    if bindings:
        quoted = _quoted(bindings)
        types = _STRUCT.sub(lambda struct: _as_quoted(struct, quoted.get(_PUBLIC.get(struct[1], ""), ())), types)
    return types + abi.FUNCTIONS


def is_declared(line: str, build: int) -> bool:
    """Whether a line of declarations holds for ``build``."""
    return all((build >= int(number)) == (mark == "since") for mark, number in _MARK.findall(line))


def _quoted(bindings: str) -> Mapping[str, tuple[tuple[str, Any], ...]]:
    """Fields with cffi's view of their types, of every struct in ``_PUBLIC``."""
    from cffi import FFI, CDefError, FFIError

    ffi = FFI()
    try:
        for text in _constants(bindings):
            ffi.cdef(text)
        return {name: tuple(ffi.typeof(f"struct {name}").fields or ()) for name in _PUBLIC.values()}
    except (CDefError, SyntaxError, FFIError) as error:
        raise InputError(f"its own declarations cannot be read: {error}") from error


def _constants(bindings: str) -> Iterator[str]:
    """The texts that the module quotes headers in; nothing of it is run."""
    for node in ast.walk(ast.parse(bindings)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _QUOTED in node.value:
            yield node.value


def _as_quoted(struct: re.Match[str], fields: tuple[tuple[str, Any], ...]) -> str:
    """One of our structs with the fields that the library's own header gives it, our types of pointers kept."""
    if not fields:
        return struct[0]
    ours = {name: kind.strip() for kind, name in _FIELD.findall(struct[2])}
    lines = [f"    {_type(field.type, ours.get(name, 'void *'))} {name};" for name, field in fields]
    return "\n".join((f"struct {struct[1]} {{", *lines, "};"))


def _type(quoted: Any, ours: str) -> str:
    """A type as declared here: enums are the integers that they are stored in."""
    match quoted.kind:
        case "primitive":
            return str(quoted.cname)
        case "enum":
            return "int"
    return ours
