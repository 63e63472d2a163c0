"""CPU lists in the kernel's form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.cpuset import MAX_CPUS, format_cpus, parse_cpus
from omniplan.errors import InputError
from tests.refusals import check_one_line


@given(st.sets(st.integers(0, MAX_CPUS - 1)))
def test_what_is_written_is_read(cpus: set[int]) -> None:
    assert parse_cpus(format_cpus(cpus)) == cpus


@given(st.text(max_size=20))
def test_any_text_is_a_set_or_an_input_error(text: str) -> None:
    try:
        parse_cpus(text)
    except InputError as error:
        check_one_line(error)


@pytest.mark.parametrize("text", ["7-3", "0-99999999999", "8192", "a", "1,,2", "-1", "0x3", "1-", "٣"])
def test_bad_lists_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected CPU numbers"):
        parse_cpus(text)
