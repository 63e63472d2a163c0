"""The RPC back end: devices of another host, whose own back end says what memory takes there (ggml-rpc.cpp)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

from omniplan.llamacpp.ggml.backend import Backend
from omniplan.llamacpp.ggml.table import rows
from omniplan.llamacpp.graph.node import Node

NAME: Final = "rpc"
# ggml-backend.cpp:ggml_op_alloc_size_may_expand, the operations whose results the server is asked about.
_ASKED: Final = frozenset("FLASH_ATTN_EXT MUL_MAT MUL_MAT_ID CUMSUM ARGSORT TOP_K".split())


@cache
def rpc(server: Backend) -> Backend:
    """Devices of the back end ``server`` through rpc-server.

    Their memory has the server's alignment, padding and largest buffer. Every node is taken for one that runs there,
    nodes are not reordered, and neither pinned RAM nor work of weights in RAM is offered
    (ggml_backend_rpc_device_supports_op, ggml_backend_rpc_device_i).
    """
    row = rows()[NAME]

    def scratch(node: Node, capability: int) -> int:
        return server.scratch(node, capability) if node.op.partition(":")[0] in _ASKED else 0

    return replace(
        server,
        name=NAME,
        host=None,
        supports=lambda _: True,
        scratch=scratch,
        offload_batch=None,
        optimizer=None,
        pipelines=row.pipelines,
        pipelines_since=row.pipelines_since,
        in_place=False,
        integrated_maps=row.integrated_maps,
    )
