"""libhwloc through cffi in ABI mode; topologies leave it as XML, so no struct layout is assumed.

API: https://www.open-mpi.org/projects/hwloc/doc/v2.9.0/ (hwloc.h). The library is optional; ``load`` says what to
install.
"""

from __future__ import annotations

from typing import Any, Final

from omniplan.errors import InputError, needs
from omniplan.machines.probe.hwloc_xml import parse_topology
from omniplan.machines.probe.topology import Topology

LIBRARY: Final = "libhwloc.so.15"

_DECLARATIONS: Final = """
typedef struct hwloc_topology *hwloc_topology_t;
int hwloc_topology_init(hwloc_topology_t *topology);
int hwloc_topology_load(hwloc_topology_t topology);
void hwloc_topology_destroy(hwloc_topology_t topology);
int hwloc_topology_set_synthetic(hwloc_topology_t topology, const char *description);
int hwloc_topology_set_components(hwloc_topology_t topology, unsigned long flags, const char *name);
int hwloc_topology_set_flags(hwloc_topology_t topology, unsigned long flags);
int hwloc_topology_set_io_types_filter(hwloc_topology_t topology, int filter);
int hwloc_topology_export_xmlbuffer(hwloc_topology_t topology, char **buffer, int *length, unsigned long flags);
void hwloc_free_xmlbuffer(hwloc_topology_t topology, char *buffer);
"""
# enum hwloc_type_filter_e: keep devices that matter (GPUs, network, disks) and the bridges above them.
_KEEP_IMPORTANT: Final = 3
_BLACKLIST: Final = 1
# HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED: a cpuset limits the process, not the machine; limits are read apart.
_INCLUDE_DISALLOWED: Final = 1
# Plugins that ask a driver or a display server: slow, and NVML is read by its own probe.
_SLOW: Final = ("cuda", "nvml", "opencl", "gl", "rsmi", "levelzero")


class HwlocMissing(Exception):
    """libhwloc or cffi is not installed; the text says what to install."""


class Hwloc:
    """The loaded library."""

    def __init__(self, ffi: Any, library: Any) -> None:
        self._ffi = ffi
        self._library = library

    def this_machine(self) -> Topology:
        """The topology of this host."""
        return parse_topology(self.xml(None), where=LIBRARY)

    def synthetic(self, description: str) -> Topology:
        """The topology of a synthetic string such as "pack:1 numa:4 l3:3 core:8 pu:2"; raises InputError."""
        return parse_topology(self.xml(description), where=description)

    def xml(self, description: str | None) -> str:
        """XML, as hwloc writes it, of this host, or of a synthetic description."""
        holder = self._ffi.new("hwloc_topology_t *")
        if self._library.hwloc_topology_init(holder) != 0:
            raise HwlocMissing("libhwloc could not be initialised")
        topology = holder[0]
        try:
            self._describe(topology, description)
            if self._library.hwloc_topology_load(topology) != 0:
                raise InputError(
                    f"{description or LIBRARY}: libhwloc could not load the topology; save it with lstopo --of xml"
                )
            return self._export(topology)
        finally:
            self._library.hwloc_topology_destroy(topology)

    def _describe(self, topology: Any, description: str | None) -> None:
        if description is not None:
            if self._library.hwloc_topology_set_synthetic(topology, description.encode()) != 0:
                example = '"pack:1 numa:4 l3:3 core:8 pu:2"'
                raise InputError(f"{description[:80]}: not a synthetic topology; libhwloc wants a form like {example}")
            return
        for name in _SLOW:
            self._library.hwloc_topology_set_components(topology, _BLACKLIST, name.encode())
        self._library.hwloc_topology_set_flags(topology, _INCLUDE_DISALLOWED)
        self._library.hwloc_topology_set_io_types_filter(topology, _KEEP_IMPORTANT)

    def _export(self, topology: Any) -> str:
        buffer = self._ffi.new("char **")
        length = self._ffi.new("int *")
        if self._library.hwloc_topology_export_xmlbuffer(topology, buffer, length, 0) != 0:
            raise HwlocMissing("libhwloc could not export XML")
        text: bytes = self._ffi.buffer(buffer[0], length[0])[:]
        self._library.hwloc_free_xmlbuffer(topology, buffer[0])
        return text.rstrip(b"\0").decode("utf-8", errors="replace")


def load(library: str = LIBRARY) -> Hwloc:
    """The library; raises HwlocMissing with what to install."""
    try:
        import cffi
    except ImportError as error:
        raise HwlocMissing(needs("cffi")) from error
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        return Hwloc(ffi, ffi.dlopen(library))
    except OSError as error:
        raise HwlocMissing(f"{library} is not installed: apt install libhwloc15, or dnf install hwloc-libs") from error
