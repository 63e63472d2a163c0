"""Model files that a command names are read where they lie, once, and what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

import pytest

import omniplan
from omniplan.check.values import Finding
from tests.headers import Item, TensorRow, make_header, write_gguf
from tests.oracle import adapters, cases

LLAMA: dict[str, Item] = {
    "general.architecture": "llama",
    "llama.block_count": 1,
    "llama.context_length": 4096,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b"],
}
TENSORS: list[TensorRow] = [("token_embd.weight", "f16", [64, 2]), ("blk.0.attn_q.weight", "f16", [64, 64])]


def only(report: omniplan.CheckReport, rule: str) -> Finding:
    """The one finding of a rule."""
    (finding,) = report.of(rule)
    return finding


def test_a_model_beside_the_file_is_read(tmp_path: Path) -> None:
    """As the start script mounts it: /models is the folder models beside models.conf."""
    (tmp_path / "models").mkdir()
    write_gguf(tmp_path / "models" / "a.gguf", LLAMA, TENSORS)
    conf = tmp_path / "models.conf"
    conf.write_text("# 32 layers, dense\n[a]\nMODEL=a.gguf\nCTX_SIZE=512\n\n[b]\nMODEL=b.gguf\n")

    report = omniplan.check(conf)

    assert (report.n_commands, report.n_models) == (2, 1)
    assert only(report, "comment-architecture").line == 1


def test_a_truncated_file(tmp_path: Path) -> None:
    """The reader's own words, on the line that names the file."""
    whole = make_header(LLAMA, TENSORS)
    (tmp_path / "a.gguf").write_bytes(whole[: len(whole) // 2])
    script = tmp_path / "run.sh"
    script.write_text(f"llama-server \\\n  -c 512 \\\n  -m {tmp_path / 'a.gguf'}\n")

    assert only(omniplan.check(script), "model-unreadable").line == 3


@pytest.mark.parametrize("there", [1, 2])
def test_missing_parts(there: int, tmp_path: Path) -> None:
    """Of two parts one is there, the one that is named or the other."""
    split: dict[str, Item] = {**LLAMA, "split.no": there - 1, "split.count": 2, "split.tensors.count": 2}
    write_gguf(tmp_path / f"a-0000{there}-of-00002.gguf", split, TENSORS[:1])
    named = str(tmp_path / "a-00001-of-00002.gguf")

    message = only(omniplan.check(["-m", named, "-c", "512"]), "model-unreadable").message

    assert "2 files" in message


def test_an_unknown_architecture(tmp_path: Path) -> None:
    """What cost one diary a download of 387 GB."""
    renamed: dict[str, Item] = {key.replace("llama.", "deepseek3_2."): value for key, value in LLAMA.items()}
    write_gguf(tmp_path / "a.gguf", {**renamed, "general.architecture": "deepseek3_2"}, TENSORS)

    finding = only(omniplan.check(["-m", str(tmp_path / "a.gguf"), "-c", "512"]), "architecture-unknown")

    assert "deepseek3_2" in finding.message


@pytest.mark.parametrize(("kind", "count", "is_wrong"), [("llama", 2, True), ("gpt2", 131, True), ("gpt2", 130, False)])
def test_a_draft_model_s_vocabulary(kind: str, count: int, is_wrong: bool, tmp_path: Path) -> None:
    """The same kind of tokenizer, and sizes that differ by no more than 128."""
    write_gguf(tmp_path / "a.gguf", LLAMA, TENSORS)
    draft: dict[str, Item] = {
        **LLAMA,
        "tokenizer.ggml.model": kind,
        "tokenizer.ggml.tokens": [str(i) for i in range(count)],
    }
    write_gguf(tmp_path / "d.gguf", draft, TENSORS)

    report = omniplan.check(["-m", str(tmp_path / "a.gguf"), "-c", "512", "-md", str(tmp_path / "d.gguf")])

    assert bool(report.of("draft-of-another-kind")) is is_wrong


def test_a_given_model_is_for_the_command_that_names_it(tmp_path: Path) -> None:
    """In a file of several models, --model is not taken for the others."""
    write_gguf(tmp_path / "a.gguf", LLAMA, TENSORS)
    script = tmp_path / "run.sh"
    script.write_text("llama-server -m /else/a.gguf -c 512\nllama-server -m /else/b.gguf -c 512\n")

    assert omniplan.check(script, model=tmp_path / "a.gguf").n_models == 1


def test_adapters_beside_the_script_are_priced(tmp_path: Path) -> None:
    """Whether it fits is known where their files are there, and not without one of them."""
    model = cases.model("Qwen3-8B-Q4_K_M")
    adapters.write(model, tmp_path / "a.gguf", 8, "f16")
    command = "llama-server -m Qwen3-8B-Q4_K_M.gguf -c 4096 -np 1 -ngl 99 --fit off --lora"
    script = tmp_path / "run.sh"

    def subjects(*names: str) -> set[str]:
        script.write_text(f"{command} {','.join(names)}\n")
        return {item.subject for item in omniplan.check(script, model=model, machine="single-3090").unpriced}

    assert subjects("a.gguf") == set()
    assert subjects("a.gguf", "b.gguf") == {"--lora"}
