"""What an embedding or reranking server adds to a graph: pooled rows, a classifier, dense layers behind it.

Upstream: ``llama_model::build_graph``, llama-graph.cpp:build_pooling and build_dense_out.
"""

from __future__ import annotations

from typing import Final

from omniplan.domain.params import Pooling
from omniplan.errors import UnsupportedModel
from omniplan.llamacpp.graph.builder import Builder
from omniplan.llamacpp.graph.linear import normed
from omniplan.llamacpp.graph.node import Node
from omniplan.llamacpp.graph.ops import F32, I32, add, cont, get_rows, mul_mat, soft_max, unary
from omniplan.llamacpp.graph.views import transpose

# classifier.pooling_type of a header, which is a number of ``Pooling``.
_MEAN: Final = 1
_NOT_SAID: Final = -1


def pool(b: Builder) -> None:
    """Expand the graph by the results of one row per sequence, if the context serves embeddings."""
    if b.context.pooling is None or b.embedding is None:
        return
    x = _pooled(b, b.embedding, b.context.pooling)
    b.graph.output(x)
    b.graph.expand(x)
    dense = _dense(b, x)
    if dense is not x:
        b.graph.output(dense)
        b.graph.expand(dense)


def _pooled(b: Builder, rows: Node, pooling: Pooling) -> Node:
    if pooling is Pooling.NONE:
        return rows
    is_ranking = pooling is Pooling.RANK
    said = b.count("classifier.pooling_type", _MEAN if b.row.rank_mean else _NOT_SAID)
    is_mean = said == _MEAN if is_ranking else pooling is Pooling.MEAN
    if is_mean and rows.ne[1] != b.n_tokens:
        raise UnsupportedModel(
            f"{b.model.header.paths[0]}: llama.cpp aborts when it pools the mean of {b.n_tokens} rows of which it has "
            f"{rows.ne[1]}; pass a -ub that {b.batch.n_seqs} slots divide"
        )
    if is_mean:
        weights = b.input("mean", F32, b.n_tokens, b.batch.n_seqs)
        x = mul_mat(cont(transpose(rows)), weights)
    else:
        x = get_rows(rows, b.input("cls", I32, b.batch.n_seqs))
    return _ranked(b, x) if is_ranking else x


def _ranked(b: Builder, x: Node) -> Node:
    """Scores of a classifier: a hidden layer where there is one, and the output."""
    device = b.hparams.n_layer_all
    if (weight := b.shared("cls.weight", device)) is not None:
        x = unary(b.row.rank_act, _affine(b, "cls", weight, x))
        if (factor := b.shared("cls.norm.weight", device)) is not None:
            x = normed("layer", x, factor, None, -1)
    if (weight := b.shared("cls.output.weight", device)) is not None:
        x = _affine(b, "cls.output", weight, x)
    return soft_max(x) if b.row.rank_softmax else x


def _affine(b: Builder, stem: str, weight: Node, x: Node) -> Node:
    bias = b.shared(f"{stem}.bias", b.hparams.n_layer_all)
    return mul_mat(weight, x) if bias is None else add(mul_mat(weight, x), bias)


def _dense(b: Builder, x: Node) -> Node:
    """The dense modules of a sentence transformer, behind its pooling."""
    device = b.hparams.n_layer_all
    for stem in ("dense_2", "dense_3"):
        if (weight := b.shared(f"{stem}.weight", device)) is not None:
            x = _affine(b, stem, weight, x)
    return x
