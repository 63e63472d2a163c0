"""The package's layers, as an executable list: a row imports only rows below it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.contracts.sources import Source, package

# Top first. Names in one row do not import each other.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("mcp", "page"),
    ("api",),
    ("report", "tune"),
    ("bench", "certify", "check", "engines", "stack", "verify"),
    ("planning",),
    ("formats",),
    ("text", "predict"),
    ("llamacpp",),
    ("gguf", "machines"),
    ("domain",),
    ("documents",),
    ("errors", "system", "units", "version"),
)
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}

# Everything else that is neither ours nor Python's is refused.
THIRD_PARTY = {
    "bench": {"httpx"},
    # llama.cpp's library is driven through cffi, in ABI mode.
    "certify": {"cffi"},
    "cli": {"argcomplete", "rich"},
    "formats": {"markdown_it", "ruamel", "tree_sitter", "tree_sitter_bash"},
    # Errors of huggingface-hub's own requests are httpx2's.
    "gguf": {"httpx2", "huggingface_hub"},
    "llamacpp": {"numpy"},
    "machines": {"cffi", "cpuinfo", "numpy", "pydantic", "pynvml"},
    "mcp": {"mcp", "pydantic"},
    "planning": {"matplotlib", "numpy"},
    "predict": {"numpy"},
    "stack": {"numpy"},
    "tune": {"numpy"},
}


def imports(source: Source) -> Iterator[str]:
    """What a file imports, in functions too but not for types only; our own modules with the name that is taken."""
    skipped = {id(node) for branch in ast.walk(source.tree) if _is_typing_only(branch) for node in ast.walk(branch)}
    for node in ast.walk(source.tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names) if _is_ours(module) else (module,)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "omniplan"


def _is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def is_allowed(part: str, module: str) -> bool:
    """Whether a module of layer ``part`` may import ``module``."""
    top, _, rest = module.partition(".")
    if top != "omniplan":
        return top in sys.stdlib_module_names or top in THIRD_PARTY.get(part, set())
    if not part:
        return True
    target = rest.partition(".")[0]
    if not target:
        # The package as a whole offers what ``api`` does.
        return part == "cli"
    return target == part or ROW[target] > ROW[part]


def test_every_part_is_in_the_list() -> None:
    """A new package or module finds its row before it is imported."""
    assert {source.part for source in package()} - {""} <= set(ROW)


def test_imports_point_down() -> None:
    """No module imports a row above it or a neighbour, and third-party packages stay in their layer."""
    wrong = [
        f"{source.path} imports {module}"
        for source in package()
        for module in imports(source)
        if not is_allowed(source.part, module)
    ]

    assert wrong == []


def arrows() -> set[tuple[str, str]]:
    """From every file of the package to those that it imports."""
    files = {source.module for source in package()}
    return {
        (source.module, name if name in files else name.rpartition(".")[0])
        for source in package()
        for name in imports(source)
        if _is_ours(name)
    }


def circle(found: Iterable[tuple[str, str]]) -> list[str]:
    """Files that import each other in a ring, the first of them twice; empty if there is no ring."""
    sorter = TopologicalSorter[str]()
    for source, target in found:
        sorter.add(source, target)
    try:
        sorter.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_file_imports_itself_through_others() -> None:
    """Whichever file is imported first, what it needs is read before it."""
    assert circle(arrows()) == []


def test_the_rule_of_circles_itself() -> None:
    """The check would notice a ring, and a file that imports itself."""
    assert circle({("a", "b"), ("b", "c"), ("a", "c")}) == []
    assert set(circle({("a", "b"), ("b", "c"), ("c", "a")})) == {"a", "b", "c"}
    assert circle({("a", "a")}) == ["a", "a"]


def test_the_package_itself_imports_what_it_offers() -> None:
    """``omniplan/__init__.py`` imports from inside the package, and what it takes to import results' types late."""
    late = {"importlib", "typing"}
    found = {module for source in package() if not source.part for module in imports(source)}

    assert {module for module in found if not _is_ours(module)} == late


@pytest.mark.parametrize(
    ("part", "module", "expected"),
    [
        ("cli", "omniplan.api", True),
        ("domain", "omniplan.errors", True),
        ("domain", "omniplan.llamacpp.flags.table", False),
        ("planning", "omniplan.stack.values", False),
        ("planning", "omniplan.planning.costs", True),
        ("formats", "numpy", False),
        ("llamacpp", "numpy", True),
        ("gguf", "struct", True),
        ("gguf", "gguf", False),
    ],
)
def test_the_rule_itself(part: str, module: str, expected: bool) -> None:
    """The check would notice what it is there for."""
    assert is_allowed(part, module) is expected
