"""What a repository offers: a whole header once, of other quants only what differs, and sizes where that has to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

import omniplan
from omniplan.cli.main import main
from omniplan.domain.header import ArrayInfo, Tensor
from omniplan.errors import HeaderError
from omniplan.formats.launch import launch
from omniplan.gguf.offered import offered
from omniplan.units import MIB
from tests.file_server import Site, serving_files
from tests.headers import Item, make_header
from tests.oracle.cases import DATA

constants = pytest.importorskip("huggingface_hub.constants")

BASE = "/o/r/resolve/main"
MODEL = omniplan.load_model(DATA / "models" / "zoo" / "Qwen3-0.6B-Q8_0.gguf")
TOKENS = [f"token{n:06}" for n in range(150_000)]
VOCABULARY: dict[str, Item] = {"x.tokens": TOKENS, "x.merges": [f"{a} {b}" for a, b in pairwise(TOKENS)]}


def rows(tensors: tuple[Tensor, ...]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(tensor.name, tensor.type.name, tensor.shape) for tensor in tensors]


def metadata(more: Mapping[str, Item]) -> dict[str, Item]:
    own: dict[str, Item] = {
        key: value for key, value in MODEL.header.metadata.items() if not isinstance(value, ArrayInfo)
    }
    return own | dict(more)


class Hub:
    """A stand-in of the hub: files of one repository with their sizes, and its API."""

    def __init__(self) -> None:
        self.site = Site(files={})

    def add(self, name: str, data: bytes, size: int) -> None:
        self.site.files[f"{BASE}/{name}"], self.site.sizes[f"{BASE}/{name}"] = data, size
        self._list()

    def quant(self, name: str, quant: str, *, of: int = 1, more: Mapping[str, Item] | None = None) -> None:
        """The model in a quant, in so many files, as llama-gguf-split writes them."""
        tensors = omniplan.requantise(MODEL, quant).header.tensors
        step = -(-len(tensors) // of)
        for part in range(of):
            own = tensors[part * step : (part + 1) * step]
            said: dict[str, Item] = {"split.no": part, "split.count": of, "split.tensors.count": len(tensors)}
            first = metadata({**VOCABULARY, **(more or {})}) if part == 0 else {}
            header = make_header({**first, **(said if of > 1 else {})}, rows(own))
            path = name.format(f"-{part + 1:05}-of-{of:05}" if of > 1 else "")
            self.add(path, header, len(header) + sum(-(-tensor.nbytes // 32) * 32 for tensor in own))

    def _list(self) -> None:
        names = {path.removeprefix(f"{BASE}/"): size for path, size in self.site.sizes.items()}
        tree = [{"type": "file", "path": name, "size": size, "oid": "0" * 40} for name, size in names.items()]
        self.site.files["/api/models/o/r/tree/main"] = json.dumps(tree).encode()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    stand_in = Hub()
    monkeypatch.setenv("OMNIPLAN_CACHE", str(tmp_path / "cache"))
    with serving_files(stand_in.site) as site:
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        for where in ("HUGGINGFACE_CO_URL_TEMPLATE", "ENDPOINT"):
            monkeypatch.setattr(constants, where, getattr(constants, where).replace(constants.ENDPOINT, site.url))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield stand_in


def filled(hub: Hub) -> Hub:
    hub.quant("m-Q4_K_M{}.gguf", "Q4_K_M")
    hub.quant("m-IQ4_XS{}.gguf", "IQ4_XS", more={"quantize.imatrix.file": "x" * 300})
    hub.quant("UD-Q2_K_XL/m-UD-Q2_K_XL{}.gguf", "Q2_K", of=2)
    hub.quant("m-Q8_0{}.gguf", "Q8_0", of=3)
    for beside in ("mmproj-F16.gguf", "imatrix.gguf", "README.md"):
        hub.add(beside, b"none", 900)
    return hub


def test_headers_of_all_quants_cost_hardly_more_than_one(hub: Hub) -> None:
    """The very tensors of each file, one vocabulary read, nothing of what lies beside."""
    filled(hub)
    found = {item.file.quant: item for item in offered("hf:o/r")}

    assert set(found) == {"Q4_K_M", "IQ4_XS", "UD-Q2_K_XL", "Q8_0"}
    for name, quant in {"Q4_K_M": "Q4_K_M", "IQ4_XS": "IQ4_XS", "UD-Q2_K_XL": "Q2_K", "Q8_0": "Q8_0"}.items():
        header = found[name].header
        assert header is not None, found[name].why_not
        assert rows(header.tensors) == rows(omniplan.requantise(MODEL, quant).header.tensors)
        assert header.file_bytes == found[name].size
        assert header.paths[0] == found[name].file.place
    whole = len(hub.site.files[f"{BASE}/m-Q4_K_M.gguf"])
    assert whole > 5 * MIB
    assert hub.site.sent < whole + 3 * MIB


def test_what_is_not_as_expected_has_its_size(hub: Hub) -> None:
    """A file whose tensors do not explain its size, a set of many files or with one missing, no ranges."""
    filled(hub)
    hub.quant("m-Q6_K{}.gguf", "Q6_K")
    hub.site.sizes[f"{BASE}/m-Q6_K.gguf"] += 64
    hub.quant("m-Q5_K_M{}.gguf", "Q5_K_M", of=20)
    hub.quant("m-BF16{}.gguf", "BF16", of=2)
    del hub.site.sizes[f"{BASE}/m-BF16-00002-of-00002.gguf"]
    hub._list()
    why = {item.file.quant: item.why_not for item in offered("hf:o/r")}

    assert "its tensors end at byte" in why["Q6_K"]
    assert why["Q5_K_M"] == "its 20 files are not read one by one"
    assert why["BF16"] == "1 of its 2 files are missing"
    hub.site.has_ranges = False
    assert {item.file.quant: bool(item.header) for item in offered("hf:o/r")}["IQ4_XS"] is False


def test_a_repository_is_ranked_before_anything_is_downloaded(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    """Real headers first; what was not read is an estimate that says so; the command downloads what is taken."""
    filled(hub)
    hub.quant("m-Q5_K_M{}.gguf", "Q5_K_M", of=20)
    machine = omniplan.machine_from_words("RTX 3090, 64 GB")
    found = omniplan.recommend("hf:o/r", machine, baselines=False)

    assert {(option.quant, option.is_estimate) for option in found.options} == {
        ("Q4_K_M", False), ("IQ4_XS", False), ("UD-Q2_K_XL", False), ("Q8_0", False), ("Q5_K_M", True)
    }  # fmt: skip
    estimate = next(option for option in found.options if option.is_estimate)
    assert "its header was not read (its 20 files are not read one by one)" in estimate.assumptions[-1].statement

    assert main(["recommend", "hf:o/r", "--machine", "RTX 3090, 64 GB"]) == 0
    shown = capsys.readouterr().out
    best = found.options[0]
    assert f"llama-server -hf o/r:{best.quant} " in shown
    assert "--no-mmproj" in shown
    assert "\nhf download o/r --include " in shown


def test_a_plan_names_what_it_downloads(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    """By the hub's own command and by llama-server's, a set by the pattern of its files."""
    filled(hub)
    assert main(["plan", "hf:o/r:Q8_0", "--machine", "RTX 3090, 64 GB", "--no-baselines"]) == 0
    shown = capsys.readouterr().out

    assert "hf download o/r --include 'm-Q8_0-*-of-00003.gguf'" in shown
    assert "llama-server -hf o/r:Q8_0 " in shown


def test_another_revision_is_listed_and_read_there(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands say it too: llama-server knows no revisions and gets the address."""
    filled(hub)
    hub.site.files = {path.replace("/main", "/v1"): data for path, data in hub.site.files.items()}
    hub.site.sizes = {path.replace("/main", "/v1"): size for path, size in hub.site.sizes.items()}
    assert main(["plan", "hf:o/r@v1:IQ4_XS", "--machine", "RTX 3090, 64 GB", "--no-baselines"]) == 0
    shown = capsys.readouterr().out

    assert "hf download o/r --revision v1 --include m-IQ4_XS.gguf" in shown
    assert f"llama-server -mu {hub.site.url}/o/r/resolve/v1/m-IQ4_XS.gguf " in shown
    assert len(list(offered("hf:o/r@v1"))) == 4


def test_what_is_planned_by_name_is_downloaded_before_it_is_kept_in_a_file(hub: Hub) -> None:
    """A file to keep names a file."""
    filled(hub)
    plan = omniplan.plan("hf:o/r:IQ4_XS", omniplan.machine_from_words("RTX 3090, 64 GB"), baselines=False)

    with pytest.raises(omniplan.InputError, match=r"hf:o/r/m-IQ4_XS.gguf: is an address; download it"):
        launch(plan)


def test_a_gated_model_says_how_to_get_it(hub: Hub) -> None:
    """Its list is public, its files are not."""
    filled(hub)
    list(offered("hf:o/r"))
    hub.site.refused = BASE
    with pytest.raises(
        HeaderError, match=r"refuses to give it \(HTTP 401\); accept its licence on http.*/o/r, then log in"
    ):
        omniplan.load_model("hf:o/r:IQ4_XS")


def test_a_repository_without_models_says_so(hub: Hub) -> None:
    """One line."""
    hub.add("README.md", b"none", 9)
    with pytest.raises(HeaderError, match="holds no GGUF model"):
        list(offered("hf:o/r"))
