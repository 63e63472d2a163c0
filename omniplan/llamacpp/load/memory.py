"""What a context remembers: KV caches, indexer caches and recurrent states, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from omniplan.domain.hparams import Hparams
from omniplan.domain.model import Model
from omniplan.domain.tensor_type import TYPE_BY_NAME, TensorType
from omniplan.gguf.model.architectures import ArchRow, MemoryKind, row_of
from omniplan.llamacpp.load.context import CELL_PAD, Context
from omniplan.units import pad

F32: Final = TYPE_BY_NAME["f32"]

# llama.cpp b11434 src/llama-kv-cache-dsv4.cpp: compression ratios of its two compressed caches.
CSA_RATIO: Final = 4
HCA_RATIO: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTensor:
    """One tensor of a memory module: ``row`` elements of ``type`` in each of ``cells`` cells of ``streams`` streams.

    ``part`` names the cache it belongs to: k, v, r, s, p, and idx_k, lid_k ... for the extra caches.
    """

    part: str
    il: int
    type: TensorType
    row: int
    cells: int
    streams: int = 1

    @property
    def is_state(self) -> bool:
        """Whether it is recurrent state, which a token reads and writes as a whole."""
        return self.part in ("r", "s", "p")

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor."""
        return self.type.row_size(self.row) * self.cells * self.streams


@lru_cache(maxsize=64)
def caches(model: Model, context: Context) -> tuple[CacheTensor, ...]:
    """Every cache tensor that b11434 creates for ``model`` in ``context`` (``create_memory``)."""
    arch = row_of(model)
    build = _nextn if context.is_mtp else _BUILDERS[arch.memory]
    return tuple(build(model.hparams, context, arch, model))


def reads_micro_batch(model: Model) -> bool:
    """Whether caches, or what a graph does with them, depend on the micro-batch that the context asks for."""
    return row_of(model).memory is MemoryKind.DSV4 or model.hparams.indexer_kpool > 0


def _nextn(h: Hparams, context: Context, arch: ArchRow, _: Model) -> Iterator[CacheTensor]:
    """The cache of the layers that draft, which attend, whatever the others do."""
    layers = range(h.n_layer, h.n_layer_all)
    for il in layers:
        yield from _kv_layer(h, context, il, context.n_swa_cells if h.is_swa[il] else context.n_ctx_seq)
    if arch.memory is MemoryKind.HYBRID_IDX and h.indexer_head_size:
        yield from _indexer("idx_k", layers, h.indexer_head_size * _indexer_slots(h, arch), context)


def _indexer_slots(h: Hparams, arch: ArchRow) -> int:
    return arch.indexer_rows if h.indexer_kpool else 1


def _attention_layers(h: Hparams, arch: ArchRow) -> list[int]:
    is_trunk = h.n_layer_nextn and h.n_layer and not arch.nextn_cached
    trunk = range(h.n_layer) if is_trunk else range(h.n_layer_all)
    match arch.memory:
        case MemoryKind.HYBRID_NO_FF:
            return [il for il in trunk if not h.is_recr[il] and h.n_ff[il] == 0]
        case MemoryKind.HYBRID | MemoryKind.HYBRID_IDX:
            return [il for il in trunk if not h.is_recr[il]]
        case _:
            return [il for il in trunk if h.has_kv[il]]


def _kv(h: Hparams, context: Context, arch: ArchRow, _: Model) -> Iterator[CacheTensor]:
    for il in _attention_layers(h, arch):
        yield from _kv_layer(h, context, il, context.n_swa_cells if h.is_swa[il] else context.n_ctx_seq)


def _kv_layer(h: Hparams, context: Context, il: int, cells: int) -> Iterator[CacheTensor]:
    streams = context.n_stream
    yield CacheTensor(part="k", il=il, type=context.type_k, row=h.n_embd_k_gqa(il), cells=cells, streams=streams)
    if not h.is_mla or context.build.rules.keeps_latent_v:
        # Where V is stored transposed every layer takes the widest row.
        widest = max(h.n_embd_v_gqa(i) for i in range(h.n_layer_all))
        width = widest if context.v_transposed else h.n_embd_v_gqa(il)
        yield CacheTensor(part="v", il=il, type=context.type_v, row=width, cells=cells, streams=streams)


def _recurrent(h: Hparams, context: Context, arch: ArchRow, model: Model) -> Iterator[CacheTensor]:
    n_r, n_s = n_embd_r(h), n_embd_s(h)
    for il in range(h.n_layer):
        recurs = h.is_recr[il] and (arch.memory != MemoryKind.HYBRID_NO_FF or h.n_ff[il] == 0)
        if recurs or arch.memory is MemoryKind.RECURRENT:
            yield CacheTensor(part="r", il=il, type=F32, row=n_r, cells=context.n_state_rows)
            yield CacheTensor(part="s", il=il, type=F32, row=n_s, cells=context.n_state_rows)
            if p := _ple_state(model, il):
                yield CacheTensor(part="p", il=il, type=F32, row=p, cells=context.n_state_rows)


def n_embd_r(h: Hparams) -> int:
    """Elements of one sequence's convolution or token-shift state (``llama_hparams::n_embd_r``)."""
    if h.wkv_head_size:
        return h.token_shift_count * h.n_embd
    if h.n_shortconv_l_cache:
        return h.n_embd * (h.n_shortconv_l_cache - 1)
    if h.n_embd_head_kda:
        return 3 * (h.ssm_d_conv - 1 if h.ssm_d_conv else 3) * h.n_head[0] * h.n_embd_head_kda
    return max(h.ssm_d_conv - 1, 0) * (h.ssm_d_inner + 2 * h.ssm_n_group * h.ssm_d_state)


def n_embd_s(h: Hparams) -> int:
    """Elements of one sequence's recurrent state (``llama_hparams::n_embd_s``)."""
    if h.wkv_head_size:
        return h.n_embd * h.wkv_head_size
    if h.n_embd_head_kda:
        return h.n_embd_head_kda**2 * h.n_head[0]
    if h.n_embd_head_la:
        return h.n_embd_head_la**2 * h.n_head[0]
    return h.ssm_d_state * h.ssm_d_inner


def _ple_state(model: Model, il: int) -> int:
    """Convolution history of qwen4exp's PLE module (``ple_conv_state``), 0 elsewhere."""
    layers = model.key("ple.layers")
    if not isinstance(layers, tuple) or il not in layers:
        return 0
    kernel, ngram, streams = (model.key(f"ple.{name}", 0) for name in ("conv_kernel", "ngram_size", "heads_per_ngram"))
    count = model.key("hyper_connection.count", 0)
    if not (isinstance(kernel, int) and isinstance(ngram, int) and isinstance(count, int) and streams):
        return 0
    return (kernel - 1) * ngram * count * model.hparams.n_embd


def _hybrid(h: Hparams, context: Context, arch: ArchRow, model: Model) -> Iterator[CacheTensor]:
    yield from _kv(h, context, arch, model)
    yield from _recurrent(h, context, arch, model)


def _hybrid_idx(h: Hparams, context: Context, arch: ArchRow, model: Model) -> Iterator[CacheTensor]:
    yield from _hybrid(h, context, arch, model)
    if h.indexer_head_size:
        width = h.indexer_head_size * _indexer_slots(h, arch)
        layers = [il for il in _attention_layers(h, arch) if h.is_indexer_full[il] or not arch.indexer_full]
        yield from _indexer("idx_k", layers, width, context)


def _indexer(part: str, layers: Iterable[int], width: int, context: Context) -> Iterator[CacheTensor]:
    for il in layers:
        yield CacheTensor(
            part=part, il=il, type=context.type_k, row=width, cells=context.n_ctx_seq, streams=context.n_stream
        )


def _dsa(h: Hparams, context: Context, arch: ArchRow, model: Model) -> Iterator[CacheTensor]:
    yield from _kv(h, context, arch, model)
    if h.indexer_top_k:
        layers = [il for il in range(h.n_layer) if h.is_indexer_full[il]]
        yield from _indexer("lid_k", layers, h.indexer_head_size, context)


def _dsa_iswa(h: Hparams, context: Context, arch: ArchRow, model: Model) -> Iterator[CacheTensor]:
    yield from _kv(h, context, arch, model)
    layers = [il for il in range(h.n_layer) if h.is_indexer_full[il]]
    yield from _indexer("lid_k", layers, h.indexer_head_size, context)


def _msa(h: Hparams, context: Context, arch: ArchRow, model: Model) -> Iterator[CacheTensor]:
    yield from _kv(h, context, arch, model)
    layers = range(h.n_layer_dense_lead, h.n_layer_all)
    yield from _indexer("idx_k", layers, h.indexer_head_size, context)
    for il in layers:
        yield CacheTensor(
            part="idx_v",
            il=il,
            type=context.type_v,
            row=h.n_embd_head_v[il],
            cells=context.n_ctx_seq,
            streams=context.n_stream,
        )


def compressed_cells(n_ctx_seq: int, ratio: int) -> int:
    """Cells of a deepseek4 compressed cache."""
    return pad(-(-n_ctx_seq // ratio), CELL_PAD)


def _dsv4(h: Hparams, context: Context, _: ArchRow, __: Model) -> Iterator[CacheTensor]:
    # DeepSeek-V4 keeps one stream per sequence even when the cache is unified elsewhere.
    streams = context.n_seq_max
    dk = h.n_embd_head_k
    window = pad(min(context.n_ctx_seq, h.n_swa + context.n_ubatch), CELL_PAD)
    n_swa_cells = context.n_ctx_seq if context.swa_full else window
    for il in range(h.n_layer_all):
        yield CacheTensor(part="k", il=il, type=context.type_k, row=dk[il], cells=n_swa_cells, streams=streams)
        ratio = h.compress_ratios[il]
        cells = compressed_cells(context.n_ctx_seq, ratio) if ratio else 0
        if ratio == CSA_RATIO:
            lid = h.indexer_head_size
            yield CacheTensor(part="csa_k", il=il, type=context.type_k, row=dk[il], cells=cells, streams=streams)
            yield CacheTensor(part="lid_k", il=il, type=context.type_k, row=lid, cells=cells, streams=streams)
            # Nextn layers have caches, but nothing compresses into them.
            for name, width in (("csa", 2 * dk[il]), ("lid", 2 * lid)) if il < h.n_layer else ():
                yield from _compressor(name, il, width, 2 * CSA_RATIO, context.n_state_rows)
        elif ratio == HCA_RATIO:
            yield CacheTensor(part="hca_k", il=il, type=context.type_k, row=dk[il], cells=cells, streams=streams)
            if il < h.n_layer:
                yield from _compressor("hca", il, dk[il], HCA_RATIO, context.n_state_rows)


def _compressor(name: str, il: int, width: int, rows: int, streams: int) -> Iterator[CacheTensor]:
    for part in ("kv", "score"):
        yield CacheTensor(part=f"{name}_{part}", il=il, type=F32, row=width, cells=rows, streams=streams)


def _none(*_: object) -> Iterator[CacheTensor]:
    return iter(())


_Builder = Callable[[Hparams, Context, ArchRow, Model], Iterator[CacheTensor]]
_BUILDERS: Final[dict[MemoryKind, _Builder]] = {
    MemoryKind.KV: _kv,
    MemoryKind.NONE: _none,
    MemoryKind.RECURRENT: _recurrent,
    MemoryKind.HYBRID: _hybrid,
    MemoryKind.HYBRID_ALL: _hybrid,
    MemoryKind.HYBRID_NO_FF: _hybrid,
    MemoryKind.HYBRID_IDX: _hybrid_idx,
    MemoryKind.DSA: _dsa,
    MemoryKind.DSA_ISWA: _dsa_iswa,
    MemoryKind.DSV4: _dsv4,
    MemoryKind.MSA: _msa,
}
