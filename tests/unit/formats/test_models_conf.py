"""``models.conf``: every byte kept, one section replaced, and the start script's rules against bash itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniplan.documents.text_file import lines_of, read_text, to_bytes
from omniplan.errors import InputError
from omniplan.formats import models_conf, sections, wrapper
from omniplan.llamacpp.flags.args import parse
from tests.launches import DIARY, started

TEXT = read_text(DIARY)
LINES = st.sampled_from(
    ["", "  ", "# note", "#", "[a]", " [b-1] ", "[c", "[a] x", "KEY=v", "K =v # no comment", "EXTRA_ARGS=-ot a=b", "x"]
)
TEXTS = st.builds(
    lambda lines, end, bom, last: bom + end.join(lines) + last,
    st.lists(LINES, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
    st.sampled_from(["", "\n", "\r\n", "\udcff"]),
)


def test_the_diary_is_read_and_written_byte_for_byte() -> None:
    """Nothing changes when nothing changes, as a whole and section by section."""
    document = models_conf.parse(TEXT)

    assert to_bytes(document.text) == DIARY.read_bytes()
    assert len(document.sections) >= 60
    for section in document.sections:
        own = "".join(lines_of(TEXT)[section.line - 1 : section.last_line])
        assert document.put(section.id, own).text == TEXT


def test_the_script_is_as_described(tmp_path: Path) -> None:
    """The rules give the arguments that bash gives to llama-server, which takes them all."""
    expected = started(DIARY, tmp_path)
    found = models_conf.parse(TEXT).sections

    assert expected == {section.id: wrapper.section_command(section).args for section in found}
    for args in expected.values():
        assert parse(args).flash_attn == "on"


def test_later_flags_win() -> None:
    """The diary's single-GPU profile overrides the script's layer split, and keeps its cache types."""
    section = models_conf.parse(TEXT).section("glm-flash-q4")
    params = parse(wrapper.section_command(section).args)

    assert (params.split_mode, params.n_ctx, params.cache_type_k, params.n_gpu_layers) == ("none", 131072, "q8_0", -1)


@settings(max_examples=50)
@given(text=TEXTS)
def test_every_text_is_kept(text: str) -> None:
    """Any text is a document and keeps its bytes; places point at the lines that say so."""
    document = models_conf.parse(text)
    lines = lines_of(text)

    assert document.text == text
    assert "".join(lines) == text
    for section in document.sections:
        assert lines[section.line - 1].strip() == f"[{section.id}]"
        assert all(entry.key in lines[entry.line - 1] for entry in section.entries)


@settings(max_examples=50)
@given(text=TEXTS, id=st.sampled_from(["a", "b-1", "new"]))
def test_putting_a_section_touches_nothing_else(text: str, id: str) -> None:
    """What stands before and after the section's place stays, and the section reads back."""
    document = models_conf.parse(text)
    if len(sections.named(document.sections, id)) > 1:
        with pytest.raises(InputError, match="stands on lines"):
            document.put(id, f"[{id}]\nNAME=x\n")
        return
    after = document.put(id, f"# omniplan 1\n[{id}]\nNAME=x\n")
    lines = lines_of(text)
    old = sections.named(document.sections, id)

    assert after.section(id).values == {"NAME": "x"}
    assert _values(after, id) == _values(document, id)
    if old:
        tail = "".join(lines[old[0].last_line :])
        assert after.text.startswith("".join(lines[: old[0].line - 1]))
        assert after.text.endswith(tail)
    else:
        assert after.text.startswith(text)
    assert after.put(id, f"# omniplan 2\n[{id}]\nNAME=x\n").text == after.text.replace("# omniplan 1", "# omniplan 2")


def _values(document: models_conf.ModelsConf, id: str) -> list[tuple[str, dict[str, str]]]:
    return [(section.id, section.values) for section in document.sections if section.id != id]


def test_a_persons_comment_above_a_section_stays() -> None:
    """Only the comments that omniplan wrote go with the section."""
    text = "# mine\n# omniplan 0.0: old\n# old too\n[a]\n# inside\nK=1\n\n# next\n[b]\nK=2\n"

    assert models_conf.parse(text).put("a", "# omniplan 1: new\n[a]\nK=3\n").text == (
        "# mine\n# omniplan 1: new\n[a]\nK=3\n\n# next\n[b]\nK=2\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a]\r\nK=1\r\n", "[a]\r\nK=1\r\n\r\n[n]\r\nX=1\r\n"),
        ("[a]\nK=1", "[a]\nK=1\n\n[n]\nX=1\n"),
        ("", "[n]\nX=1\n"),
    ],
    ids=["crlf", "no-final-newline", "empty"],
)
def test_appending_takes_the_files_line_ends(text: str, expected: str) -> None:
    """A new section looks like its neighbours."""
    assert models_conf.parse(text).put("n", "[n]\nX=1\n").text == expected


def test_a_wrong_id_is_refused() -> None:
    """The script would not see such a header."""
    with pytest.raises(InputError, match="letters, digits"):
        models_conf.parse("").put("a b", "[a b]\n")
