"""What ``import omniplan`` offers, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator

import pytest

import omniplan
from omniplan import api, errors

# What is installed with the package, by the names they are imported under.
DEPENDENCIES = ("cffi", "cpuinfo", "numpy", "pydantic", "pynvml")
HEAVY = (*DEPENDENCIES, "httpx", "matplotlib", "rich", "ruamel")
# Names that other programs call; they never change meaning.
FIXED = {"Footprint", "Header", "Machine", "Model", "OmniplanError", "Plan"}
FIXED |= {"footprint", "inspect", "load_machine", "load_model", "plan", "read_header"}


def test_names_are_sorted_and_exist() -> None:
    """``__all__`` is sorted, holds nothing twice, and every name in it resolves."""
    assert sorted(set(omniplan.__all__)) == omniplan.__all__
    assert [name for name in omniplan.__all__ if not hasattr(omniplan, name)] == []
    assert dir(omniplan) == omniplan.__all__


def test_the_promised_names_are_there() -> None:
    """Programs that score or embed omniplan rely on them."""
    assert set(omniplan.__all__) >= FIXED


def test_every_name_says_what_it_is() -> None:
    """Everything public but the version has a docstring of its own."""
    names = [name for name in omniplan.__all__ if name != "__version__"]

    assert [name for name in names if not getattr(omniplan, name).__doc__] == []


@pytest.mark.parametrize("statement", ["import omniplan", "from omniplan.cli import main; main.parser()"])
def test_import_is_cheap(statement: str) -> None:
    """Neither the package nor the command's parser loads a heavy package before it is needed."""
    code = f"{statement}; import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


BARE = """
import sys
sys.modules.update(dict.fromkeys({missing!r}))  # None: an import of it fails
import omniplan
machine = omniplan.probe()
asked = omniplan.Request(n_ctx=512)
found = omniplan.plan("tests/data/models/archs/llama-moe.gguf", "RTX 4090, 64 GB DDR4-3600", asked)
print(found.footprint.fits, found.prediction.decode_tokens_per_second.value > 0, len(machine.notes) > 0)
"""


def test_the_core_plans_without_what_is_installed_with_it() -> None:
    """Without any dependency it imports, plans with speeds, and probes what it can; the probe says what is missing."""
    code = BARE.format(missing=DEPENDENCIES)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert done.stdout.split() == ["True"] * 3, done.stderr


def _below(cls: type[Exception]) -> Iterator[type[Exception]]:
    for child in cls.__subclasses__():
        yield child
        yield from _below(child)


def test_expected_errors_share_a_base_and_have_codes() -> None:
    """Exit codes are 1 (does not fit), 4 (cannot be written) and 2 (bad input) and nothing else."""
    codes = {cls.__name__: cls.exit_code for cls in _below(errors.OmniplanError) if hasattr(cls, "exit_code")}

    others = {name: code for name, code in codes.items() if code != 2}
    assert others == {"Infeasible": 1, "OutputError": 4}


def test_models_are_priced_by_path_or_by_value() -> None:
    """A path and the model read from it give the same footprint."""
    path = "tests/data/models/archs/llama-dense.gguf"
    machine = omniplan.Machine.from_dict(
        {"name": "one", "gpus": [{"name": "CUDA0", "total_mib": 24564, "free_mib": 23671, "compute_capability": "8.9"}]}
    )
    args = ["-c", "256", "-ngl", "99"]

    assert omniplan.footprint(path, machine, args) == omniplan.footprint(omniplan.load_model(path), machine, args)


def test_models_and_machines_are_given_alike_in_every_verb() -> None:
    """``model`` is a model or a file of one, ``machine`` a machine, a name or a file, whatever is asked."""
    verbs = {name: inspect.signature(getattr(api, name)).parameters for name in api.__all__}
    kinds = {
        (kind, verbs[name][kind].annotation.removesuffix(" | None"))
        for name in verbs
        for kind in ("model", "machine")
        if kind in verbs[name]
    }

    assert kinds == {("model", "ModelSource"), ("machine", "MachineSource")}


def test_results_are_imported_late_and_only_they() -> None:
    """The table of ``__init__`` names what exists, and an unknown name is the usual error."""
    assert set(omniplan.__all__) >= set(omniplan._LATE)
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        omniplan.frobnicate  # noqa: B018
