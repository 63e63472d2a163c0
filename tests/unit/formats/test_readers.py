"""Commands in the files people have, with the lines they stand on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniplan.errors import InputError
from omniplan.formats import compose, dotenv, kubernetes, llama_swap, preset_ini, systemd, yaml_text
from omniplan.formats.command import Command
from omniplan.formats.shell import script
from omniplan.formats.words import split
from tests.launches import shell_words
from tests.property.strategies import examples
from tests.real_parsers import ask

SCRIPT = r"""#!/bin/bash
# llama-server -m not-this.gguf
export CUDA_VISIBLE_DEVICES=1,0   # order
MODEL="$HOME/a b.gguf"
numactl --membind 0 ./build/bin/llama-server -m "$MODEL" \
    -ot 'blk\.[0-9]\.=CPU' -t $(nproc --all) \
    --port ${PORT:-8080} 2>&1 > log.txt &
GGML_X=1 exec llama-server -c 0 >>log 2>/dev/null; echo done | tee x
docker run -e LLAMA_ARG_MLOCK=1 ghcr.io/ggml-org/llama.cpp:server-cuda -m /m.gguf -ngl 99
"""

COMPOSE = """services:
  a:
    image: ghcr.io/ggml-org/llama.cpp:server-cuda-b11434
    command:
      - -m
      - /x$$y.gguf
    environment:
      A: 1
      B: true
  b:
    image: mine
    entrypoint: [numactl, --interleave, all, /app/llama-server]
    command: -m x -c "3 4"
    environment: [Z=1=2]
  web:
    image: nginx
  c:
    image: mine
    environment:
      LLAMA_ARG_MODEL: ${MODEL}
"""

SWAP = """macros:
  base: |
    llama-server --port ${PORT}
  path: /models
models:
  "one":
    macros: { size: 4096 }
    cmd: |
      # a comment that 'opens a quote
      ${base}
      -m ${path}/${MODEL_ID}.gguf \\
      -c ${size} ${unknown}
    env:
      - "A=1"
  two:
    cmd: vllm serve x
"""

DEPLOYMENT = """spec:
  template:
    spec:
      containers:
        - name: web
          image: nginx
        - name: llm
          image: ghcr.io/ggml-org/llama.cpp:server
          args: ["-m", "/$$(x) $y.gguf"]
          env: [{ name: A, value: "b" }, { name: B, valueFrom: {} }]
"""

UNIT = r"""[Service]
Environment="A=b c" D=e%%
; ExecStart=llama-server -m no
ExecStart=/usr/bin/llama-server -m "/a \"b\" \x41\n%%$$.gguf" \
# in between
    -ot 'x\\.y' ${EXTRA}
"""


def shown(command: Command) -> list[tuple[str, int]]:
    return [(word.text, word.line) for word in command.words]


def test_shell_scripts() -> None:
    """Continuations, quotes and comments are read, redirections dropped, variables left alone."""
    first, second, third = script.commands(SCRIPT)

    assert shown(first) == [
        ("-m", 5),
        ("$HOME/a b.gguf", 4),
        ("-ot", 6),
        (r"blk\.[0-9]\.=CPU", 6),
        ("-t", 6),
        ("$(nproc --all)", 6),
        ("--port", 7),
        ("8080", 7),
    ]
    assert [word.text for word in first.prefix] == ["numactl", "--membind", "0"]
    assert first.env == {"CUDA_VISIBLE_DEVICES": "1,0"}
    assert (shown(second), second.env["GGML_X"]) == ([("-c", 8), ("0", 8)], "1")
    assert third.args == ("-m", "/m.gguf", "-ngl", "99")
    assert third.env["LLAMA_ARG_MLOCK"] == "1"
    assert third.line_of("-ngl") == 9


@given(words=st.lists(st.text("ab '\"\\\n#;&|<>()*~=!{}[]%,.-:3é", max_size=6), min_size=1, max_size=4))
@examples(15)
def test_shell_words_are_those_of_bash(words: list[str]) -> None:
    """However words are quoted, bash and we read the same."""
    import shlex

    line = f"llama-server {shlex.join(words)}\n"
    (command,) = script.commands(line)

    assert list(command.args) == words == shell_words(line)


@settings(deadline=None)
@given(text=st.text("ab'\"\\ \n#;&|<>()$`{}=1", max_size=30))
def test_no_text_breaks_the_shell_reader(text: str) -> None:
    """Unfinished quotes and substitutions are read as far as they go."""
    for command in script.commands(f"llama-server {text}"):
        assert all(1 <= word.line <= text.count("\n") + 1 for word in command.words)
    assert split(text) is not None


def test_compose_files() -> None:
    """Services by image, program or variables; list and string commands; ``$$`` is a dollar sign."""
    first, second, third = compose.commands(COMPOSE)

    assert (first.name, first.line, shown(first)) == ("a", 2, [("-m", 5), ("/x$y.gguf", 6)])
    assert first.env == {"A": "1", "B": "true"}
    assert (second.name, second.args, second.env) == ("b", ("-m", "x", "-c", "3 4"), {"Z": "1=2"})
    assert [word.text for word in second.prefix] == ["numactl", "--interleave", "all"]
    assert (third.name, third.args, third.env) == ("c", (), {"LLAMA_ARG_MODEL": "${MODEL}"})


def test_llama_swap_configurations() -> None:
    """Macros go in, comment lines go, lines are those of the file."""
    (command,) = llama_swap.commands(SWAP)

    assert (command.name, command.line, command.env) == ("one", 6, {"A": "1"})
    assert command.args == ("--port", "${PORT}", "-m", "/models/one.gguf", "-c", "4096", "${unknown}")
    assert dict(shown(command))["-m"] == 11
    assert dict(shown(command))["/models/one.gguf"] == 4
    assert dict(shown(command))["4096"] == 7


def test_deployments() -> None:
    """The container that runs llama-server, its dollar signs undone."""
    (command,) = kubernetes.commands(DEPLOYMENT)

    assert (command.name, command.args, command.env) == ("llm", ("-m", "/$(x) $y.gguf"), {"A": "b"})


def test_units() -> None:
    """Quotes, escapes, specifiers, dollar signs and continued lines of systemd."""
    (command,) = systemd.commands(UNIT)

    assert command.args == ("-m", '/a "b" A\n%$.gguf', "-ot", r"x\.y", "${EXTRA}")
    assert command.env == {"A": "b c", "D": "e%"}
    assert (command.line, command.words[-1].line) == (4, 6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LLAMA_ARG_MODEL='a b' # c\n", {"LLAMA_ARG_MODEL": "a b"}),
        ('export A="x\\n\\"y" \n#B=1\nC = d#e\n', {"A": 'x\n"y', "C": "d#e"}),
        ("A=\r\nB=${A}\r\n", {"A": "", "B": "${A}"}),
    ],
)
def test_env_files(text: str, expected: dict[str, str]) -> None:
    """Quotes go, comments go, references to other variables stay."""
    assert dotenv.commands(text)[0].env == expected


def test_the_start_scripts_env_file_is_its_command() -> None:
    """MODEL and its like are the script's, which makes arguments of them; other lines' places are kept."""
    (command,) = dotenv.commands("MODEL=a.gguf\nCTX_SIZE=4096\nEXTRA_ARGS=-np 1\nSPLIT_MODE=none\n")

    assert command.args[:4] == ("--model", "/models/a.gguf", "--ctx-size", "4096")
    assert shown(command)[-2:] == [("-np", 3), ("1", 3)]
    assert dict(shown(command))["none"] == 4


KEYS = st.sampled_from(["ctx-size", "c", "LLAMA_ARG_CTX_SIZE", "no-mmproj", "kvu", "cpu-moe", "ot", "version", "m"])
VALUES = st.sampled_from(["1", "true", "off", "a=b,c=d", "x y ;z", "v#w", "", " 'q' "])
INI_LINES = st.one_of(
    st.builds("{}{}={}{}".format, KEYS, st.sampled_from(["", " ", "\t"]), st.sampled_from(["", "  "]), VALUES),
    st.sampled_from(["", "  ", "; c", " # c", "[a]", "[ a ]", "[b:q4] # c", "[*]", "[x y]", "\r"]),
)


def test_presets_are_read_as_llama_cpp_reads_them(tmp_path: Path) -> None:
    """Any file of known keys: sections, the shared one, comments, negated keys, order of arguments."""
    texts: list[str] = []

    @given(lines=st.lists(INI_LINES, max_size=10), end=st.sampled_from(["\n", "\r\n"]))
    @examples(30)
    def collect(lines: list[str], end: str) -> None:
        texts.append(end.join(lines))

    collect()
    files = [tmp_path / f"{at}.ini" for at in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text.encode())
    for text, answer in zip(texts, ask([{"preset": str(file)} for file in files]), strict=True):
        ours = {_canonical(command.name): list(command.args) for command in preset_ini.commands(text)}
        shared = next((section for section in preset_ini.parse(text).sections if section.id == "*"), None)
        if shared is None:
            assert ours == answer["presets"], text
        else:
            assert ours.keys() == answer["presets"].keys(), text


def _canonical(name: str) -> str:
    """llama.cpp writes the tag of a model in capitals."""
    model, colon, tag = name.rpartition(":")
    return f"{model}{colon}{tag.upper()}" if colon else name


@pytest.mark.parametrize("text", ["nonsense\n", " a = 1\n", "[a\n", "1a = 2\n", "\ufeff[a]\n", "[]\n"])
def test_what_llama_cpp_refuses_we_refuse(tmp_path: Path, text: str) -> None:
    """With the line; llama.cpp throws, which ends its process."""
    file = tmp_path / "bad.ini"
    file.write_bytes(text.encode())
    if text in {"nonsense\n", " a = 1\n"}:
        code = f"from tests.real_parsers import ask; ask([{{'preset': {str(file)!r}}}])"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode != 0
    with pytest.raises(InputError, match="line 1"):
        preset_ini.commands(text)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
@examples(50)
def test_quoted_yaml_is_the_text(text: str) -> None:
    """Whatever the text is, YAML reads the scalar back."""
    assert yaml_text.load(f"a: {yaml_text.quoted(text)}\n", where="test")["a"] == text


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12))
@examples(50)
def test_quoted_units_are_the_text(text: str) -> None:
    """Whatever the text is, a unit reads the word back, in a command and in an environment."""
    (command,) = systemd.commands(f"ExecStart=llama-server {systemd.quoted(text)}\n")
    assert command.args == (text,)

    setting = systemd.quoted(f"A={text}", is_command=False)
    (command,) = systemd.commands(f"Environment={setting}\nExecStart=llama-server\n")
    assert command.env == {"A": text}
