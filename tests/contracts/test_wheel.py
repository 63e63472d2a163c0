"""The wheel, built and installed by itself: everything that is promised of an installation, without a network."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.contracts.sources import ROOT

SCRIPTS = "Scripts" if os.name == "nt" else "bin"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel, and sees our dependencies but not our sources."""
    home = tmp_path_factory.mktemp("env")
    venv.create(home, symlinks=os.name != "nt")
    python = home / SCRIPTS / "python"
    install = [
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        str(*built.glob("*.whl")),
    ]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True, capture_output=True)
    at = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[-1])"], capture_output=True, check=True
    )
    # A line of a .pth file is a folder alone: the .pth files in it, such as that of our own sources, are not read.
    Path(at.stdout.decode().strip(), "ours.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return home / SCRIPTS


def run(installed: Path, folder: Path, program: str, *args: str) -> str:
    """What a program of the environment prints; it must succeed, and warn of nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OMNIPLAN"))}
    done = subprocess.run(
        [installed / program, *args], cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_wheel_is_for_every_python_and_holds_all(built: Path) -> None:
    """No compiled code; each table, profile and header of data/, and the mark of a typed package."""
    wheel = next(built.glob("*.whl"))
    names = set(zipfile.ZipFile(wheel).namelist())
    data = {f"omniplan/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "data").rglob("*") if path.is_file()}

    assert wheel.name.endswith("-py3-none-any.whl")
    assert data | {"omniplan/py.typed", "omniplan_command.py"} <= names
    assert [name for name in names if name.endswith((".so", ".pyd", ".pyc"))] == []


def test_the_sdist_holds_what_a_wheel_is_built_of(built: Path) -> None:
    """And no more than the package, its data and its examples."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.split("/")[1] for name in sdist.getnames() if "/" in name}
    needed = {"omniplan", "omniplan_command.py", "data", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}

    assert needed <= names <= {*needed, "examples", "PKG-INFO", ".gitignore"}


def test_the_command_works_in_any_folder(installed: Path, tmp_path: Path) -> None:
    """With the machines and models that come with it, and its own version."""
    assert run(installed, tmp_path, "omniplan", "--version").startswith("omniplan ")
    assert "DeepSeek-R1-Q4_K_M" in run(installed, tmp_path, "omniplan", "models")
    assert "llama-server -m DeepSeek-R1-Q4_K_M.gguf" in run(installed, tmp_path, "omniplan", "demo")


def test_every_verb_has_its_help(installed: Path, tmp_path: Path) -> None:
    code = """if True:
        import os, contextlib, omniplan
        from omniplan.cli.main import VERBS, main
        for verb in VERBS:
            with contextlib.suppress(SystemExit):
                main([verb.name, "--help"])
        print("from", os.path.dirname(omniplan.__file__))
    """
    said = run(installed, tmp_path, "python", "-c", code)

    assert said.count("usage: omniplan ") > 20
    assert Path(said.rpartition("from ")[2].strip()).parent != ROOT


def test_an_example_runs_beside_it(installed: Path, tmp_path: Path) -> None:
    assert "CUDA0" in run(installed, tmp_path, "python", str(ROOT / "examples/price_arguments.py"))
