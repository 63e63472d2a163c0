"""What each format does to signs that its program would act on; our readers, which take both spellings, cannot tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.formats import kubernetes, systemd
from omniplan.formats.launch import launch
from omniplan.formats.registry import render
from tests.launches import GLM, plan_of
from tests.property.strategies import examples

HOSTILE = "100% $HOME $(id) %h ${X} $$ %%"
TEXTS = st.text(st.sampled_from("%$ab ()'\"\\{}") | st.characters(exclude_categories=["Cs"]), max_size=12)


def lines_of(name: str) -> list[str]:
    """A file of a plan whose model path, name and environment are full of such signs."""
    plan = plan_of(GLM.stem, "dual-4090-5070ti")
    plan = replace(plan, environment={"A": HOSTILE}, model=replace(plan.model, name="50% of it"))
    text = render([launch(plan, id="glm", model=f"/srv/models/{HOSTILE}.gguf")], name)
    return [line.strip() for line in text.splitlines() if not line.startswith("#")]


def test_a_unit_has_no_specifier_and_no_variable() -> None:
    """systemd.unit(5): ``%%`` is a percent sign. ``$$`` is a dollar sign in commands, and only there."""
    lines = lines_of("systemd")

    assert "Description=llama-server: 50%% of it" in lines
    assert 'Environment="A=100%% $HOME $(id) %%h ${X} $$ %%%%"' in lines
    assert any('"/srv/models/100%% $$HOME $$(id) %%h $${X} $$$$ %%%%.gguf"' in line for line in lines)


def test_compose_finds_no_variable() -> None:
    """The Compose file reference: ``$$`` is a dollar sign, everywhere."""
    lines = lines_of("compose")
    doubled = HOSTILE.replace("$", "$$")

    assert f'A: "{doubled}"' in lines
    assert f'- "/models/{doubled}.gguf"' in lines


def test_kubernetes_finds_no_variable() -> None:
    """Arguments and values alike: ``$$(NAME)`` is the text ``$(NAME)``."""
    lines = lines_of("k8s")
    doubled = HOSTILE.replace("$", "$$")

    assert f'- {{ name: A, value: "{doubled}" }}' in lines
    assert f'- "/models/{doubled}.gguf"' in lines


def test_a_file_of_variables_quotes_what_its_readers_would_act_on() -> None:
    """Between single quotes a shell, Compose and systemd find nothing of their own."""
    lines = lines_of("env")

    assert f"A='{HOSTILE}'" in lines
    assert f"LLAMA_ARG_MODEL='/srv/models/{HOSTILE}.gguf'" in lines
    assert "LLAMA_ARG_CTX_SIZE=131072" in lines


@pytest.mark.parametrize(
    ("quoted", "signs"),
    [
        (systemd.quoted, "%$"),
        (lambda text: systemd.quoted(text, is_command=False), "%"),
        (kubernetes.escaped, "$"),
    ],
    ids=["a unit's command", "a unit's environment", "kubernetes"],
)
@given(text=TEXTS)
@examples(60)
def test_every_sign_is_doubled(quoted: Callable[[str], str], signs: str, text: str) -> None:
    """So an even number of them stands wherever one does, and half of them are the text's own."""
    written = quoted(text)

    for sign in signs:
        assert written.count(sign) == 2 * text.count(sign)
        assert all(len(run) % 2 == 0 for run in re.findall(re.escape(sign) + "+", written))
