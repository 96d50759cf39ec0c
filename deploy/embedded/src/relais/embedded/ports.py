"""The ports of one stack: chosen free at the first start, kept for ever after, so that what clients remember stays true."""

import json
import socket
import zlib
from collections.abc import Sequence
from pathlib import Path

from relais.embedded.state import write_whole
from relais.processes.errors import LaunchError, PortTaken

HOST = "127.0.0.1"

# Below 32768, where Linux begins to give ports to outgoing connections, which could take one of ours between two starts.
PORT_FIRST = 7_400
PORT_LAST = 32_000
BLOCK_PORTS = 100


class PortsUnreadable(LaunchError):
    """ports.json was changed by hand into something else."""


def settle_ports(file: Path, names: Sequence[str]) -> dict[str, int]:
    """A port for each name: the remembered ones, which must be free, and free ones for new names; `file` remembers them all.

    Each state folder looks from a place of its own, so that two stacks started together do not meet.

    Raises:
        PortTaken: a remembered port is in use by something else.
        PortsUnreadable: the file is not what this function wrote.
    """
    remembered = _remembered(file)
    for name in names:
        if name in remembered:
            _require_free(name, remembered[name], file)
    used = set(remembered.values())
    candidate = PORT_FIRST + BLOCK_PORTS * (zlib.crc32(str(file).encode()) % ((PORT_LAST - PORT_FIRST) // BLOCK_PORTS))
    for name in names:
        if name in remembered:
            continue
        while candidate in used or not is_free(candidate):
            candidate = candidate + 1 if candidate < PORT_LAST else PORT_FIRST
        remembered[name] = candidate
        used.add(candidate)
    write_whole(file, json.dumps(remembered, indent=2, sort_keys=True).encode())
    return {name: remembered[name] for name in names}


def is_free(port: int) -> bool:
    """True when a server could listen on the port of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _remembered(file: Path) -> dict[str, int]:
    if not file.exists():
        return {}
    try:
        content = json.loads(file.read_bytes())
        return {str(name): int(port) for name, port in content.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise PortsUnreadable(f"{file} is not a table of names and port numbers.", "Remove it: other ports will be chosen.") from error


def _require_free(name: str, port: int, file: Path) -> None:
    if not is_free(port):
        raise PortTaken(
            f"Port {port}, which this stack uses for {name}, is taken by another process.",
            f"Stop that process (`ss -ltnp 'sport = :{port}'` names it), or remove {file} and other ports will be chosen.",
        )
