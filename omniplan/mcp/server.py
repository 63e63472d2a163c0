"""A server of the tools over standard input and output, by the protocol's official SDK."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from omniplan.errors import InputError, OmniplanError, needs
from omniplan.version import __version__

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

_INSTRUCTIONS: Final = (
    "omniplan says which llama-server arguments run a GGUF model on a machine, how many bytes they take on every "
    "device, and how fast they run, from the model's header alone. Say machines in words. Bytes are llama.cpp's own; "
    "speeds are predicted, with a range. 'fits' of null means not known: never tell a user that it fits."
)


def server() -> MCPServer:
    """The server, before it runs; raises InputError where the SDK is missing."""
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise InputError(f"mcp: {needs('mcp', 'mcp')}") from error
    from omniplan.mcp.tools import TOOLS

    found = MCPServer("omniplan", instructions=_INSTRUCTIONS, version=__version__, log_level="ERROR")
    reads_only = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True)
    for tool in TOOLS:
        found.tool(annotations=reads_only)(_answering(tool))
    return found


def _answering(tool: Callable[..., Any]) -> Callable[..., Any]:
    """The tool whose refusals are texts that an assistant reads, not crashes."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(tool)
    def answering(*args: Any, **kwargs: Any) -> Any:
        try:
            return tool(*args, **kwargs)
        except OmniplanError as error:
            raise ToolError(str(error)) from error

    return answering
