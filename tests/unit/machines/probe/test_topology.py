"""libhwloc, its XML and the kernel's /sys: three readers of one topology."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniplan.errors import InputError
from omniplan.machines.probe import hwloc
from omniplan.machines.probe.hwloc_xml import parse_topology
from omniplan.machines.probe.sysfs import read_topology
from omniplan.machines.probe.topology import Topology, TopologyNode
from tests.fakes import write_sysfs
from tests.refusals import check_one_line

SAMPLES = Path(__file__).parents[3] / "data" / "machines"


@pytest.fixture(scope="module")
def library() -> hwloc.Hwloc:
    try:
        return hwloc.load()
    except hwloc.HwlocMissing as error:
        pytest.skip(str(error))


SYNTHETIC = {
    # name: (description, sockets, nodes per socket, cores, threads, L3 groups)
    "9995WX in NPS1": ("pack:1 numa:1 l3:12 core:8 pu:2", 1, 1, 96, 192, 12),
    "9995WX in NPS2": ("pack:1 numa:2 l3:6 core:8 pu:2", 1, 2, 96, 192, 12),
    "9995WX in NPS4": ("pack:1 numa:4 l3:3 core:8 pu:2", 1, 4, 96, 192, 12),
    "two sockets": ("pack:2 numa:1 l3:8 core:8 pu:2", 2, 1, 128, 256, 16),
    "two sockets in NPS4": ("pack:2 numa:4 l3:2 core:8 pu:1", 2, 4, 128, 128, 16),
    "L3 as NUMA": ("pack:1 numa:12 l3:1 core:8 pu:2", 1, 12, 96, 192, 12),
}


@pytest.mark.parametrize("case", SYNTHETIC.values(), ids=SYNTHETIC.keys())
def test_synthetic_topologies(library: hwloc.Hwloc, case: tuple[str, int, int, int, int, int]) -> None:
    description, sockets, per_socket, cores, threads, groups = case

    topology = library.synthetic(description)

    cpu = topology.cpu()
    assert (cpu.n_sockets, topology.nodes_per_socket, cpu.n_cores, cpu.n_threads, cpu.n_l3) == (
        sockets,
        per_socket,
        cores,
        threads,
        groups,
    )
    nodes = topology.numa_nodes()
    assert len(nodes) == sockets * per_socket
    assert sum(node.n_cores for node in nodes) == cores
    assert [node.package for node in nodes] == [index // per_socket for index in range(len(nodes))]


@given(st.integers(1, 2), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 2))
def test_counts_multiply(sockets: int, nodes: int, caches: int, cores: int, threads: int) -> None:
    """A synthetic topology has the product of its levels."""
    try:
        library = hwloc.load()
    except hwloc.HwlocMissing as error:
        pytest.skip(str(error))

    topology = library.synthetic(f"pack:{sockets} numa:{nodes} l3:{caches} core:{cores} pu:{threads}")

    assert len(topology.packages) == sockets
    assert len(topology.nodes) == sockets * nodes
    assert len(topology.l3) == sockets * nodes * caches
    assert len(topology.cores) == sockets * nodes * caches * cores
    assert len(topology.cpus) == len(topology.cores) * threads


@pytest.mark.parametrize("description", ["", "pack:0", "pack:1 nonsense:2", "pack:-1", "pack:99999999999 pu:1"])
def test_bad_synthetic_strings_are_input_errors(library: hwloc.Hwloc, description: str) -> None:
    with pytest.raises(InputError, match="not a synthetic topology"):
        library.synthetic(description)


def test_a_missing_library_says_what_to_install() -> None:
    pytest.importorskip("cffi")

    with pytest.raises(hwloc.HwlocMissing, match="apt install libhwloc15"):
        hwloc.load("libhwloc-of-another-world.so.1")


def _comparable(topology: Topology) -> tuple[object, ...]:
    nodes = [(node.index, node.total, node.cpus, node.distances) for node in topology.nodes]
    return set(topology.packages), nodes, topology.l3, set(topology.cores), topology.efficient


def test_hwloc_and_the_kernel_agree_on_this_host(library: hwloc.Hwloc) -> None:
    seen = read_topology()
    if seen is None:
        pytest.skip("no /sys")

    assert _comparable(library.this_machine()) == _comparable(seen)


def _tree(sockets: int, per_socket: int, *, threads: int = 2, cores: int = 2) -> Topology:
    """Nodes of two L3 groups; second threads are numbered after all cores, as on x86."""
    n_nodes = sockets * per_socket
    n_cores = n_nodes * 2 * cores
    core = [frozenset(range(index, n_cores * threads, n_cores)) for index in range(n_cores)]
    groups = [frozenset().union(*core[index : index + cores]) for index in range(0, n_cores, cores)]
    nodes = [groups[index] | groups[index + 1] for index in range(0, len(groups), 2)]
    distances = [
        [10 if a == b else 12 if a // per_socket == b // per_socket else 32 for b in range(n_nodes)]
        for a in range(n_nodes)
    ]
    return Topology(
        packages=tuple(frozenset().union(*nodes[s * per_socket : (s + 1) * per_socket]) for s in range(sockets)),
        nodes=tuple(
            TopologyNode(
                index=i, total=(96 << 30) + 4096 * i, cpus=cpus, distances=tuple(distances[i]) if n_nodes > 1 else ()
            )
            for i, cpus in enumerate(nodes)
        ),
        l3=dict.fromkeys(groups, 32 << 20),
        cores=tuple(core),
        pci={"0000:0a:00.0": 0, "0000:f1:00.0": n_nodes - 1 if n_nodes > 1 else None},
    )


TREES = {
    "NPS1": _tree(1, 1),
    "NPS4": _tree(1, 4),
    "two sockets": _tree(2, 1),
    "two sockets, no SMT": _tree(2, 2, threads=1),
}


@pytest.mark.parametrize("topology", TREES.values(), ids=TREES.keys())
def test_sysfs_reads_what_the_kernel_shows(tmp_path: Path, topology: Topology) -> None:
    write_sysfs(tmp_path, topology)

    seen = read_topology(tmp_path)

    assert seen is not None
    assert _comparable(seen) == _comparable(topology)
    assert seen.pci == topology.pci


@pytest.mark.parametrize("topology", TREES.values(), ids=TREES.keys())
def test_hwloc_and_sysfs_agree_on_a_tree(
    library: hwloc.Hwloc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topology: Topology
) -> None:
    """Both readers of one /sys tree see one machine (hwloc reads it through HWLOC_FSROOT)."""
    write_sysfs(tmp_path, topology)
    (tmp_path / "proc").mkdir()
    monkeypatch.setenv("HWLOC_FSROOT", str(tmp_path))
    monkeypatch.setenv("HWLOC_COMPONENTS", "linux,stop")
    monkeypatch.setenv("HWLOC_THISSYSTEM", "0")

    by_hwloc = library.this_machine()

    by_sysfs = read_topology(tmp_path)
    assert by_sysfs is not None
    assert _comparable(by_hwloc) == _comparable(by_sysfs)


def test_sysfs_without_a_tree_is_unknown(tmp_path: Path) -> None:
    assert read_topology(tmp_path) is None


def test_sysfs_of_a_bare_container_still_counts_cpus(tmp_path: Path) -> None:
    """Some sandboxes show only which CPUs are online."""
    (tmp_path / "sys/devices/system/cpu").mkdir(parents=True)
    (tmp_path / "sys/devices/system/cpu/online").write_text("0-3\n")

    topology = read_topology(tmp_path)

    assert topology is not None
    assert len(topology.cores) == 4
    assert topology.numa_nodes() == ()
    assert topology.nodes_per_socket is None


def test_a_two_socket_file_with_gpus() -> None:
    """GPUs sit on the node of their host bridge, distances are the firmware's, far memory has no cores."""
    topology = parse_topology((SAMPLES / "two-socket-gpus.xml").read_text())

    nodes = topology.numa_nodes()
    assert topology.model == "AMD EPYC 7313"
    assert [(node.index, node.n_cores, node.package) for node in nodes] == [(0, 4, 0), (1, 4, 1), (2, 0, None)]
    assert nodes[1].distances == (32, 10, 42)
    assert nodes[2].total == 64 << 30
    assert topology.nodes_per_socket == 1
    assert topology.pci == {"0000:41:00.0": 0, "0000:c1:00.0": 1}


def test_a_hybrid_file_tells_its_efficiency_cores() -> None:
    cpu = parse_topology((SAMPLES / "hybrid.xml").read_text()).cpu()

    assert (cpu.n_cores, cpu.n_threads, cpu.n_performance_cores, cpu.n_efficiency_cores) == (4, 6, 2, 2)


def test_a_version_1_file_is_read_too() -> None:
    """Version 1 nests packages inside NUMA nodes and calls every cache "Cache"."""
    text = """<topology><object type="Machine" cpuset="0x0000000f"><info name="CPUModel" value="Xeon"/>
    <object type="NUMANode" os_index="0" cpuset="0x0000000f" local_memory="1024">
    <object type="Socket" cpuset="0x0000000f">
    <object type="Cache" depth="3" cpuset="0x0000000f" cache_size="4096"><object type="Core" cpuset="0x00000003"/>
    <object type="Core" cpuset="0x0000000c"/></object></object></object></object></topology>"""

    topology = parse_topology(text)

    assert (len(topology.packages), len(topology.nodes), list(topology.l3.values()), len(topology.cores)) == (
        1,
        1,
        [4096],
        2,
    )


DISTANCES = (
    '<topology><object type="NUMANode" os_index="0" cpuset="0x1"/><distances2 type="NUMANode" name="NUMALatency">'
    "<indexes>{indexes}</indexes><u64values>{values}</u64values></distances2></topology>"
)
HOSTILE = {
    "not XML": ("<topology", "not XML"),
    "entities": ('<!DOCTYPE t [<!ENTITY a "aaaa">]><topology>&a;</topology>', "declares XML entities"),
    "another document": ("<html/>", "expected <topology>"),
    "no cores": ("<topology/>", "names no core"),
    "empty cpusets": ('<topology><object type="Core" cpuset="0x0"/></topology>', "names no core"),
    "a bad mask": ('<topology><object type="Core" os_index="3" cpuset="all"/></topology>', "Core#3: cpuset 'all'"),
    "an endless mask": ('<topology><object type="Core" cpuset="0xf...f"/></topology>', "is not a mask"),
    "a mask too long": (f'<topology><object type="Core" cpuset="{"0x1," * 999}0x1"/></topology>', "is not a mask"),
    "negative memory": (
        '<topology><object type="NUMANode" os_index="0" cpuset="0x1" local_memory="-5"/></topology>',
        "NUMANode#0: local_memory is '-5'",
    ),
    "a node twice": (
        '<topology><object type="NUMANode" os_index="0"/><object type="NUMANode" os_index="0"/></topology>',
        "NUMANode#0: appears twice",
    ),
    "distances of others": (
        DISTANCES.format(indexes="0 1", values="10"),
        "distances do not match",
    ),
    "distances in words": (
        DISTANCES.format(indexes="zero", values="ten"),
        "distances do not match",
    ),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_xml_is_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_topology(text, where="file.xml")

    assert str(caught.value).startswith("file.xml: ")
    assert "\n" not in str(caught.value)


@given(st.data())
def test_any_damage_to_a_file_is_an_input_error(data: st.DataObject) -> None:
    text = (SAMPLES / "two-socket-gpus.xml").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 400)))
    damaged = text[:start] + data.draw(st.text('<>"=0x/ a9-', max_size=8)) + text[end:]

    try:
        parse_topology(damaged)
    except InputError as error:
        check_one_line(error)


def test_depth_does_not_matter() -> None:
    """Half a million nested objects neither crash nor hang."""
    depth = 50_000
    text = "<topology>" + '<object type="Group">' * depth + "</object>" * depth + "</topology>"

    with pytest.raises(InputError):
        parse_topology(text)
