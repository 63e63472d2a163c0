"""Stack files: what they may say, the groups that follow, and one line with the path for what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniplan.errors import InputError
from omniplan.stack.asked import Group, On
from omniplan.stack.document import load_stack, parse_stack
from omniplan.units import MIB
from tests.refusals import check_one_line

WHOLE = """
name = "all of it"
n_prompt = 4096
n_gen = 128
objective = "decode"
busy = 0.25

[budget]
headroom = "10%"
ram_mib = 1000
ram_headroom_mib = 512
gpus = { CUDA0 = 2048 }

[[models]]
name = "a"
path = "a.gguf"
ctx = 8192
parallel = 2
cache_type = "q8_0"
cache_type_v = "f16"
ubatch = 1024
priority = 2.5
on = "gpu"
port = 9000

[[models]]
name = "b"
path = "/models/b.gguf"
on_demand = true

[[externals]]
name = "x"
gb = 1.5
on = "RAM"

[[groups]]
name = "both"
members = ["a", "b"]
"""


def model(name: str, more: str = "") -> str:
    return f'[[models]]\nname = "{name}"\npath = "{name}.gguf"\n{more}\n'


def test_every_key() -> None:
    """Relative paths start at the file's folder; bytes come from MiB or from GB of 10^9."""
    found = parse_stack(WHOLE, folder=Path("here"))
    a, b = found.models

    assert (a.path, b.path) == ("here/a.gguf", "/models/b.gguf")
    assert (a.n_ctx, a.n_parallel, a.cache_type_k, a.cache_type_v, a.n_ubatch) == (8192, 2, "q8_0", "f16", 1024)
    assert (a.priority, a.on, a.on_demand, a.port) == (2.5, On.GPU, False, 9000)
    assert (b.priority, b.on, b.on_demand, b.port, b.n_ctx) == (1.0, On.ANY, True, None, None)
    assert (found.externals[0].size, found.externals[0].pool) == (1_500_000_000, "RAM")
    assert found.budget.gpus == {"CUDA0": 2048 * MIB}
    assert (found.budget.ram, found.budget.ram_headroom) == (1000 * MIB, 512 * MIB)
    assert (found.n_prompt, found.n_gen, found.objective, found.busy) == (4096, 128, "decode", 0.25)
    assert found.groups == (Group(name="both", members=("a", "b", "x")),)


def test_groups_that_nobody_wrote() -> None:
    """What is loaded with the server is a group; each model on demand joins it; all on demand stand alone."""
    loaded, demanded = model("a"), model("b", "on_demand = true") + model("c", "on_demand = true")
    with_others = [(group.name, group.members) for group in parse_stack(loaded + demanded).groups]

    assert with_others == [("startup", ("a",)), ("startup+b", ("a", "b")), ("startup+c", ("a", "c"))]
    assert parse_stack(demanded).groups == ()
    assert [group.members for group in parse_stack(model("a") + model("b")).groups] == [("a", "b")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "models: expected at least one"),
        ("x = ", "not a TOML stack file"),
        ("models = 3", "models: expected an array of tables"),
        (model("a") + "colour = 1", "models[0].colour: unknown key"),
        (model("a", "ctxt = 8"), "models[0].ctxt: unknown key; did you mean 'ctx'?"),
        (model("a", "ctx = 0"), "models[0].ctx: expected at least 1"),
        (model("a", "ctx = 1.5"), "models[0].ctx: expected a whole number"),
        (model("a", "priority = 0"), "models[0].priority: expected a number above 0"),
        (model("a", 'on = "tpu"'), "models[0].on: expected one of any, gpu, cpu"),
        (model("a") + '[budget]\nheadroom = "lots"', 'budget.headroom: expected "1024" (MiB per GPU)'),
        (model("a", "port = 70000"), "models[0].port: expected a port from 1 to 65535"),
        (model("a b"), "models[0].name: expected letters, digits, - and _"),
        (model("a.b"), "models[0].name: expected letters, digits, - and _"),
        ('[[models]]\npath = "a"', "models[0].name: is missing"),
        ('[[models]]\nname = "a"', "models[0].path: is missing"),
        (model("a") + model("a"), "models: the name 'a' stands there twice"),
        (model("a", "port = 1") + model("b", "port = 1"), "models: a and b share port 1"),
        ('[[externals]]\nname = "x"', "externals[0].gb: expected either gb"),
        ('[[externals]]\nname = "x"\ngb = 1\nmib = 1', "externals[0].gb: expected either gb"),
        ('[[externals]]\nname = "x"\ngb = -1', "externals[0].gb: expected a number of 0 or more"),
        ('[[externals]]\nname = "x"\ngb = 1\non = "disk"', "externals[0].on: expected a form like"),
        (model("a") + '[[groups]]\nname = "g"\nmembers = ["b"]', "groups[0].members: 'b' is no model"),
        (model("a") + '[[groups]]\nname = "g"\nmembers = ["a", "a"]', "groups[0].members: a name stands there twice"),
        (model("a") + '[[groups]]\nname = "g"', "groups[0].members: expected at least one name"),
        (model("a") + '[[groups]]\nname = "g"\nmembers = ["a"]\n' * 2, "groups[1].name: 'g' is already a group"),
        ("busy = 2\n" + model("a"), "busy: expected a share from 0 to 1"),
        ('objective = "fun"\n' + model("a"), "objective: expected one of"),
        (model("a") + "[budget]\nram_mib = -1", "budget.ram_mib: expected a number"),
        (model("a") + '[budget]\ngpus = { CUDA0 = "1" }', "budget.gpus.CUDA0: expected a number"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_path(text: str, says: str) -> None:
    """The file's name first."""
    with pytest.raises(InputError) as caught:
        parse_stack(text, where="S.toml")

    assert str(caught.value).startswith("S.toml: ")
    assert says in str(caught.value)
    check_one_line(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The path and the reason."""
    with pytest.raises(InputError, match=r"none.toml: cannot be read: No such file"):
        load_stack(tmp_path / "none.toml")
