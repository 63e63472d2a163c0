"""Machines drawn whole, in the units a machine file can write."""

from __future__ import annotations

from hypothesis import strategies as st

from omniplan.domain.cpuset import format_cpus
from omniplan.domain.evidence import Basis
from omniplan.domain.machine import Gpu, Host, Machine, Memory, Reservation, ReservationKind
from omniplan.domain.processor import Cpu, NumaNode

MIB = 1 << 20
# How a bandwidth of a machine may be known.
_BASES = [basis for basis in Basis if basis not in (Basis.HEADER, Basis.ELSEWHERE)]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
sizes = st.integers(0, 1 << 45)
counts = st.none() | st.integers(0, 512)
tenths = st.integers(0, 100_000)
rates = st.none() | st.integers(0, 10**7).map(lambda value: value * 1e6)
operations = st.none() | tenths.map(lambda value: value * 1e11)


@st.composite
def reservations(draw: st.DrawFn, total: int) -> tuple[Reservation, ...]:
    left = total
    rows = []
    for _ in range(draw(st.integers(0, 3))):
        size = draw(st.integers(0, left))
        left -= size
        rows.append(Reservation(size=size, reason=draw(texts), kind=draw(st.sampled_from(ReservationKind))))
    return tuple(rows)


@st.composite
def gpus(draw: st.DrawFn, index: int) -> Gpu:
    total = draw(sizes)
    reserved = draw(reservations(total))
    room = total - sum(row.size for row in reserved)
    return Gpu(
        name=f"CUDA{index}",
        description=draw(texts),
        total=total,
        free=draw(st.just(room) | st.integers(0, room)),
        compute_capability=draw(st.sampled_from(["", "8.9", "12.0"])),
        uuid=draw(st.sampled_from(["", f"GPU-{index}"])),
        pci=draw(st.sampled_from(["", f"0000:{index:02x}:00.0"])),
        bandwidth=draw(rates),
        bandwidth_basis=draw(st.sampled_from(_BASES)),
        fp16_flops=draw(operations),
        int8_ops=draw(operations),
        pcie_generation=draw(counts),
        pcie_width=draw(counts),
        link_bandwidth=draw(rates),
        power_limit=draw(st.none() | st.integers(0, 2000).map(float)),
        is_display=draw(st.booleans()),
        is_unified=draw(st.booleans()),
        reserved=reserved,
    )


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    total = draw(sizes)
    return Memory(
        total=total,
        reserved=draw(reservations(total)),
        channels=draw(counts),
        speed_mts=draw(counts),
        bandwidth=draw(rates),
        bandwidth_basis=draw(st.sampled_from(_BASES)),
        measured=draw(st.sampled_from(["", "2026-01-30"])),
        swap=draw(st.none() | sizes),
    )


@st.composite
def cpus(draw: st.DrawFn) -> Cpu:
    cores = draw(st.integers(1, 256))
    efficient = draw(st.integers(0, cores - 1))
    allowed = draw(st.sets(st.integers(0, 511), max_size=cores))
    return Cpu(
        model=draw(texts),
        n_cores=cores,
        n_threads=cores * draw(st.integers(1, 2)),
        n_sockets=draw(st.integers(1, 4)),
        n_performance_cores=cores - efficient if efficient else 0,
        n_efficiency_cores=efficient,
        n_l3=draw(counts),
        l3=draw(st.none() | sizes),
        allowed=format_cpus(allowed),
        allowed_cores=draw(st.none() | st.integers(1, cores)),
        quota=draw(st.none() | st.integers(1, 99).map(lambda value: value / 4)),
        features=tuple(draw(st.lists(names, max_size=3))),
    )


@st.composite
def nodes(draw: st.DrawFn) -> tuple[NumaNode, ...]:
    """Nodes of equal size with neighbouring CPUs."""
    count = draw(st.integers(0, 4))
    width = draw(st.integers(1, 64))
    return tuple(
        NumaNode(
            index=index,
            total=draw(sizes),
            n_cores=draw(st.integers(0, width)),
            n_threads=width,
            cpus=draw(st.sampled_from(["", format_cpus(range(index * width, (index + 1) * width))])),
            package=draw(counts),
            distances=draw(st.just(()) | st.just((10,) * count)),
            bandwidth=draw(rates),
        )
        for index in range(count)
    )


@st.composite
def hosts(draw: st.DrawFn) -> tuple[Host, ...]:
    """Other machines in one network."""
    return tuple(
        Host(
            address=f"10.0.0.{index + 2}:50052",
            machine=draw(machines(with_hosts=False)),
            link_bandwidth=draw(rates),
            latency_us=draw(st.none() | st.integers(0, 10_000).map(float)),
        )
        for index in range(draw(st.integers(0, 2)))
    )


@st.composite
def machines(draw: st.DrawFn, *, with_hosts: bool = True) -> Machine:
    return Machine(
        name=draw(texts),
        description=draw(texts),
        gpus=tuple(draw(gpus(index)) for index in range(draw(st.integers(0, 3)))),
        memory=draw(st.none() | memories()),
        numa_nodes=draw(nodes()),
        nps=draw(counts),
        cpu=draw(st.none() | cpus()),
        notes=tuple(draw(st.lists(texts, max_size=2))),
        source=draw(texts),
        hosts=draw(hosts()) if with_hosts else (),
    )


def single(gib: int, *, ram_gib: int = 64) -> Machine:
    """One GPU of so many GiB like an RTX 4090 otherwise, and RAM."""
    gpu = {"name": "CUDA0", "total_mib": gib * 1024, "compute_capability": "8.9", "bandwidth_gbs": 1008}
    memory = {"total_mib": ram_gib * 1024, "bandwidth_gbs": 80}
    return Machine.from_dict({"name": f"{gib} GiB", "gpus": [gpu], "memory": memory})
