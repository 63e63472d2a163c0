"""Tensor overrides: expansion, splitting, ECMAScript matching and the first match."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.domain.params import Override
from omniplan.errors import ArgumentError
from omniplan.llamacpp.flags.ecmascript import PatternError, compile_pattern
from omniplan.llamacpp.flags.overrides import cpu_moe, first_match, n_cpu_ffn, n_cpu_moe, parse_overrides

# Outcomes of std::regex_search in libstdc++ 12 (GCC 12.2); None where std::regex throws.
SEARCHES = [
    ("exps", "blk.3.ffn_up_exps.weight", True),
    ("blk\\.3\\.", "blk.3.ffn_up_exps.weight", True),
    ("^blk", "output.weight", False),
    ("weight$", "a.weight", True),
    ("weight$", "a.weight\n", False),
    ("a.b", "a\rb", False),
    ("", "x", True),
    ("a|", "x", True),
    ("(?:a|b)c", "xbc", True),
    ("(?=blk)b", "blk", True),
    ("(?!blk)b", "blk.b", True),
    ("(?<=a)b", "ab", None),
    ("(?P<n>a)", "a", None),
    ("(?i)A", "a", None),
    ("a**", "b", True),
    ("a*+b", "aab", True),
    ("a{2}{2}", "aaaa", True),
    ("a{2}{2}", "aaa", False),
    ("a{,2}", "a", None),
    ("a{2,1}", "aa", None),
    ("a{x}", "a{x}", None),
    ("{2}", "aa", None),
    ("*a", "a", None),
    ("^*a", "a", None),
    ("(?=a)*", "a", None),
    ("a)", "a", None),
    ("(a", "a", None),
    ("[a", "a", None),
    ("a]", "a]", True),
    ("a}", "a}", True),
    ("[]", "a", False),
    ("[^]", "a", True),
    ("[]a]", "a]", False),
    ("[z-a]", "a", None),
    ("[a-]", "-", True),
    ("[-a]", "-", True),
    ("[\\w.-]", "-", True),
    ("[\\w-a]", "a", None),
    ("[a-\\d]", "a", None),
    ("[[:digit:]]", "5", True),
    ("[[:DIGIT:]]", "5", True),
    ("[[:nope:]]", "5", None),
    ("[:alpha:]", "p", True),
    ("\\d", "5", True),
    ("\\D", "5", False),
    ("\\p", "p", True),
    ("\\-", "-", True),
    ("\\x41", "A", True),
    ("\\x4", "A", None),
    ("\\u0041", "A", True),
    ("\\cJ", "J", True),
    ("a\\", "a", None),
    ("(a)\\1", "aa", True),
    ("\\1(a)", "aa", None),
    ("(a\\1)", "aa", None),
    ("(a)|b\\1", "b", False),
    ("\\bffn", "blk.ffn", True),
    ("\\Bfn", "ffn", True),
    ("\\Z", "Z", True),
    ("\\A", "A", True),
    ("[\\b]", "b", False),
    ("\\.ffn_(up|down|gate|gate_up)_(ch|)exps", "blk.0.ffn_gate_up_chexps.weight", True),
    ("\\.ffn_(up|down|gate)\\.", "blk.0.ffn_up_exps.weight", False),
]
NAMES = [
    f"blk.{il}.{name}.weight"
    for il in range(64)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "attn_norm", "ffn_norm", "ffn_gate_inp", "ffn_up",
                 "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_up_shexp", "ffn_gate_shexp", "ffn_down_shexp")
]  # fmt: skip


def test_patterns_match_as_std_regex_does() -> None:
    """regex_search in the ECMAScript grammar, refusals included."""
    assert [(pattern, text, _search(pattern, text)) for pattern, text, _ in SEARCHES] == SEARCHES


def _search(pattern: str, text: str) -> bool | None:
    try:
        return compile_pattern(pattern).matches(text)
    except PatternError:
        return None


@given(st.text(alphabet="ab.-]^[\\(){}|*+?:=!d2,", max_size=8))
def test_a_pattern_compiles_or_says_why(pattern: str) -> None:
    """Whatever is typed, the translation is a valid Python pattern or a PatternError."""
    problem = f"at position {len(pattern)}"
    try:
        compile_pattern(pattern)
    except PatternError as error:
        problem = str(error)

    assert "at position" in problem


@given(st.text(alphabet="blk.0123_ffn", max_size=12), st.text(alphabet="blk.0123_ffn", max_size=24))
def test_an_escaped_name_matches_where_it_occurs(part: str, name: str) -> None:
    """The literal a matcher skips by is right: escaping makes a search a substring test."""
    assert (part in name) == compile_pattern(re.escape(part)).matches(name)


def test_split_at_every_comma_and_the_first_equals() -> None:
    """No escaping: a comma always ends an item, further equals signs belong to the buffer type."""
    assert (Override("a", "CPU"), Override("b", "CUDA1")) == parse_overrides("a=CPU,b=CUDA1")
    assert (Override("a", "b=CPU"),) == parse_overrides("a=b=CPU")


@pytest.mark.parametrize("value", ["", "exps", "a=CPU,", "a{1,2}=CPU"])
def test_an_item_without_equals_is_refused(value: str) -> None:
    """The message reminds of the comma, which is why {1,2} cannot be written."""
    with pytest.raises(ValueError, match="a comma ends an item"):
        parse_overrides(value)


def test_a_bad_pattern_is_an_argument_error() -> None:
    """The error names the pattern and the place."""
    with pytest.raises(ArgumentError, match=re.escape("pattern 'blk(' is not an ECMAScript regular expression")):
        parse_overrides("blk(=CPU")


def test_cpu_moe_flags_expand_to_llama_cpps_patterns() -> None:
    """Patterns as in common/common.h; counted from block 0."""
    assert (Override(r"\.ffn_(up|down|gate|gate_up)_(ch|)exps", "CPU"),) == cpu_moe()
    expected = (Override(r"blk\.0\.ffn_(up|down|gate)\.", "CPU"), Override(r"blk\.1\.ffn_(up|down|gate)\.", "CPU"))
    assert expected == n_cpu_ffn(2)
    assert not n_cpu_moe(0)


def test_n_cpu_moe_moves_routed_experts_only() -> None:
    """Shared experts and the router stay."""
    moved = first_match(n_cpu_moe(2), NAMES)

    assert [f"blk.{il}.ffn_{kind}_exps.weight" for il in (0, 1) for kind in ("down", "gate", "up")] == sorted(moved)


def test_the_first_match_wins() -> None:
    """Order on the command line decides."""
    overrides = parse_overrides(r"blk\.3\.=CUDA0,exps=CPU,blk\.4\.=CUDA1")
    names = ["blk.3.ffn_up_exps.weight", "blk.4.ffn_up_exps.weight", "blk.4.attn_q.weight", "output.weight"]

    expected = dict(zip(names, (overrides[0], overrides[1], overrides[2]), strict=False))
    assert expected == first_match(overrides, names)


def test_many_patterns_on_many_names_are_quick() -> None:
    """About 900 names and 100 patterns, as --fit writes them."""
    overrides = [*n_cpu_moe(64), *n_cpu_ffn(36)]
    first_match(overrides, NAMES)
    start = time.perf_counter()

    assert len(first_match(overrides, NAMES)) == 64 * 3 + 36
    assert time.perf_counter() - start < 0.5
