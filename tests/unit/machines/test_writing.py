"""Machine files as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.machine import Machine
from omniplan.errors import InputError
from omniplan.machines.files import load_machine, machine_toml, parse_machine
from tests.machines import machines
from tests.property.strategies import examples


@examples(40)
@given(machines())
def test_what_is_written_is_read(machine: Machine) -> None:
    assert parse_machine(machine_toml(machine)) == machine


@examples(40)
@given(machines())
def test_the_same_machine_is_the_same_text(machine: Machine) -> None:
    text = machine_toml(machine)

    assert machine_toml(parse_machine(text)) == text


@given(st.text(max_size=60))
def test_any_text_is_a_machine_or_an_input_error(text: str) -> None:
    with pytest.raises(InputError):
        parse_machine(text)


@pytest.mark.parametrize("text", ["a = " + "[" * 20000, "a = " + "1" * 5000, "name = 1"])
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: "):
        parse_machine(text, where="here")


@pytest.mark.parametrize("name", ["", "/", "a\0b", "no-such-file.toml", "." * 5000])
def test_files_that_cannot_be_read_are_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        load_machine(name)

    assert "\n" not in str(caught.value)
