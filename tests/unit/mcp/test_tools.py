"""The tools as an assistant calls them, with the SDK's own client: in this process, and over a real command's pipes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import omniplan

pytest.importorskip("mcp", reason="the extra omniplan[mcp] is not installed")

from mcp import Client, StdioServerParameters

from omniplan.mcp.server import server

MODELS = Path(__file__).parents[3] / "data/models"
SMALL = str(MODELS / "GLM-4.7-Flash-Q8_0.gguf")
LARGE = str(MODELS / "DeepSeek-R1-Q4_K_M.gguf")
DESK = "RTX 4090 24GB + RTX 5070 Ti 16GB, 64 GB DDR5-6000"


def run(question: Coroutine[Any, Any, Any]) -> Any:
    """Its answer; in a thread of its own, since the browser's tests keep an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, question).result()


def call(name: str, **arguments: Any) -> Any:
    """What a tool answers; a refusal is an AssertionError with its text."""

    async def asked() -> Any:
        async with Client(server()) as client:
            return await client.call_tool(name, arguments)

    result = run(asked())
    assert not result.is_error, result.content[0].text
    return result.structured_content


def test_every_tool_has_schemas() -> None:
    """Arguments are described, answers typed, and nothing is written."""

    async def listed() -> Any:
        async with Client(server()) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in run(listed())}

    assert set(tools) == {"plan", "footprint", "check", "recommend"}
    for tool in tools.values():
        assert tool.annotations.read_only_hint
        assert tool.output_schema["type"] == "object"
        assert all("description" in field or "anyOf" in field for field in tool.input_schema["properties"].values())


def test_a_plan_is_that_of_python() -> None:
    """Command, bytes and speed are those of ``omniplan.plan``."""
    answer = call("plan", model=SMALL, machine=DESK, n_ctx=16384)
    plan = omniplan.plan(SMALL, DESK, n_ctx=16384)

    assert answer["fits"] is True
    assert all(word in answer["command"] for word in plan.server_args[:6])
    assert {use["name"]: use["used"] for use in answer["memory"]} == {
        pool.label: pool.used for pool in plan.footprint.pools
    }
    speed = plan.prediction.decode_tokens_per_second.value
    assert answer["decode_tokens_per_second"]["value"] == pytest.approx(speed, rel=0.01)


def test_a_refusal_is_an_answer() -> None:
    """What does not fit says what is missing and what would fit."""
    answer = call("plan", model=LARGE, machine="RTX 3060 12GB, 16 GB RAM", n_ctx=8192)

    assert answer["fits"] is False
    assert "do not fit" in answer["why"][0]


def test_a_command_is_priced() -> None:
    """As a person pastes it, the model named in it or beside it."""
    answer = call("footprint", machine="RTX 3090, 32 GB RAM", command=f"llama-server -m {SMALL} -ngl 99 -c 8192")

    assert answer["fits"] is False
    assert answer["short_by"]["CUDA0"] > 0


def test_a_text_is_checked() -> None:
    """Nothing is read but what is given."""
    answer = call("check", text="llama-server -m nowhere.gguf --no-such-flag\n")

    assert ("flag-unknown", "error") in [(fault["rule"], fault["severity"]) for fault in answer["faults"]]


def test_models_are_ranked() -> None:
    """The faster first, and what does not fit at the end, with the reason."""
    answer = call("recommend", models=[LARGE, SMALL], machine="RTX 4090, 64 GB RAM", n_ctx=8192)

    first, last = answer["options"]
    assert first["model"] == SMALL
    assert first["decode_tokens_per_second"]["low"] > 0
    assert "short by" in last["why_not"]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("plan", {"model": "nowhere.gguf", "machine": DESK}, "nowhere.gguf"),
        ("plan", {"model": SMALL, "machine": "an abacus"}, "abacus"),
        ("footprint", {"model": SMALL, "machine": DESK, "command": "-c '"}, "not a command"),
        ("footprint", {"model": SMALL, "machine": DESK, "command": "--no-such-flag"}, "--no-such-flag"),
    ],
)
def test_bad_input_is_said_in_words(name: str, arguments: dict[str, str], said: str) -> None:
    """An assistant can read what is wrong, and nobody sees a traceback."""
    with pytest.raises(AssertionError, match=said):
        call(name, **arguments)


def test_the_command_serves_over_pipes() -> None:
    """``omniplan mcp`` as an assistant's host starts it."""

    async def asked() -> Any:
        command = StdioServerParameters(command=sys.executable, args=["-m", "omniplan", "mcp"])
        async with Client(command) as client:
            return await client.call_tool("check", {"text": "llama-server -m a.gguf -c 4096"})

    assert run(asked()).structured_content["n_commands"] == 1
