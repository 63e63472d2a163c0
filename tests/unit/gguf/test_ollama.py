"""Models in Ollama's local store, by the names that `ollama list` shows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import omniplan
from omniplan.api.source import with_projector
from omniplan.errors import HeaderError
from omniplan.gguf import read_header
from tests.headers import make_header
from tests.machines import single
from tests.oracle.cases import DATA
from tests.projectors import write_projector
from tests.towers import TOWERS

HEADER = make_header({"general.name": "Qwen"}, [("a", "f32", (256,))])


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    return tmp_path


def kept(store: Path, data: bytes) -> str:
    """A layer's digest, whose bytes lie in the store."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    (store / "blobs").mkdir(exist_ok=True)
    (store / "blobs" / digest.replace(":", "-")).write_bytes(data)
    return digest


def pulled(store: Path, name: str, digest: object = None, *, projector: bytes = b"", data: bytes = HEADER) -> Path:
    """A model as ``ollama pull`` leaves it: the path of its manifest."""
    own = kept(store, data)
    beside = [{"mediaType": "application/vnd.ollama.image.projector", "digest": kept(store, projector)}]
    layers = [
        *(beside if projector else ()),
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest or own},
    ]
    manifest = store / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return manifest


@pytest.mark.parametrize(
    ("place", "manifest"),
    [
        ("ollama:qwen3:30b", "registry.ollama.ai/library/qwen3/30b"),
        ("ollama:qwen3", "registry.ollama.ai/library/qwen3/latest"),
        ("ollama:someone/qwen3:q4_K_M", "registry.ollama.ai/someone/qwen3/q4_K_M"),
        ("ollama:hf.co/someone/Qwen3-GGUF:Q4_K_M", "hf.co/someone/Qwen3-GGUF/Q4_K_M"),
        ("ollama:localhost:5000/someone/qwen3", "localhost:5000/someone/qwen3/latest"),
    ],
)
def test_a_model_is_found_by_its_name(store: Path, place: str, manifest: str) -> None:
    """What a name leaves out is what Ollama takes; the path is the file's, for llama-server to load."""
    pulled(store, manifest)
    header = read_header(place)

    assert header.metadata["general.name"] == "Qwen"
    assert [Path(path).parent for path in header.paths] == [store / "blobs"]


@pytest.mark.parametrize(
    "place", ["ollama:", "ollama:../x", "ollama:a/../../b:c", "ollama:a/b/c/d", "ollama:/x", "ollama:a:.."]
)
def test_a_name_stays_in_the_store(place: str) -> None:
    """Nothing else is opened."""
    with pytest.raises(HeaderError, match="is no model's name"):
        read_header(place)


def test_a_model_that_is_not_there_is_said(store: Path) -> None:
    """With what is there of it."""
    with pytest.raises(HeaderError, match="`ollama pull` the model"):
        read_header("ollama:qwen3:30b")
    pulled(store, "registry.ollama.ai/library/qwen3/8b")
    pulled(store, "registry.ollama.ai/library/other/8b")
    with pytest.raises(HeaderError, match=r"no such model; it has ollama:qwen3:8b$"):
        read_header("ollama:qwen3:30b")


@pytest.mark.parametrize("digest", ["sha256:../../etc", "sha256-" + "0" * 64, 7, ["a"], {"a": 1}])
def test_a_manifest_that_leads_elsewhere_is_refused(store: Path, digest: object) -> None:
    """A digest is a digest."""
    pulled(store, "registry.ollama.ai/library/qwen3/8b", digest)

    with pytest.raises(HeaderError, match="names no one GGUF file"):
        read_header("ollama:qwen3:8b")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"layers": 3}', '{"layers": [3]}', "[" * 99_999])
def test_a_manifest_that_is_none_is_refused(store: Path, text: str) -> None:
    """One line."""
    pulled(store, "registry.ollama.ai/library/qwen3/8b").write_text(text)

    with pytest.raises(HeaderError, match="cannot be read; `ollama pull` it again"):
        read_header("ollama:qwen3:8b")


def test_a_projector_comes_with_its_model(store: Path) -> None:
    """Found by its layer, priced, and named in the command; one that somebody names goes before it."""
    tower = write_projector(store / "some.gguf", TOWERS["qwen2-vl"]).read_bytes()
    model = (DATA / "models" / "zoo" / "Qwen3-0.6B-Q8_0.gguf").read_bytes()
    pulled(store, "registry.ollama.ai/library/qwen3-vl/8b", projector=tower, data=model)
    pulled(store, "registry.ollama.ai/library/qwen3/8b", data=model)
    plans = [omniplan.plan(f"ollama:{name}:8b", single(24), n_ctx=4096) for name in ("qwen3-vl", "qwen3")]

    blob = str(store / "blobs" / f"sha256-{hashlib.sha256(tower).hexdigest()}")
    assert [blob in plan.server_args for plan in plans] == [True, False]
    used = [sum(pool.used for pool in plan.footprint.pools) for plan in plans]
    assert used[0] > used[1]
    assert omniplan.recommend("ollama:qwen3-vl:8b", single(24), what_if=(), n_ctx=4096).request.mmproj == blob
    assert omniplan.Request(mmproj="own.gguf") == with_projector(
        omniplan.load_model("ollama:qwen3-vl:8b"), omniplan.Request(mmproj="own.gguf")
    )
