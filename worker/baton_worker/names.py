"""Addresses of the nodes' names.

gRPC looks a name up for a channel, and begins again with the next channel; a lookup that takes longer than a call, as when the
first of two name servers is dead, then never ends. Here each lookup has a thread of its own, which outlasts any call, and a
name that fails keeps its last addresses.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Callable, Dict, List, Sequence, Tuple

PATIENCE = 0.15  # seconds that a call waits for a lookup; after them it goes to the last addresses

LookUp = Callable[[str, int], List[str]]


class NameUnknown(Exception):
    """There is no address yet; the message says why."""


def system_look_up(host: str, port: int) -> List[str]:
    """The addresses in the order to try them; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def target_of(addresses: Sequence[str], port: int) -> str:
    """For gRPC: all of the addresses, to be tried in order. It takes one family, so beside IPv6 an IPv4 address is mapped."""
    parsed = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
    if all(address.version == 4 for address in parsed):
        return "ipv4:" + ",".join(f"{address}:{port}" for address in parsed)
    return "ipv6:" + ",".join(f"[{'::ffff:' if address.version == 4 else ''}{address}]:{port}" for address in parsed)


class _Name:
    """One name: its last addresses, and the lookup that runs."""

    def __init__(self) -> None:
        self.addresses: List[str] = []
        self.failure = "it is being looked up"
        self.ended = threading.Event()  # of the latest lookup
        self.ended.set()


class Names:
    """Used by one thread; its own threads only look up."""

    def __init__(self, look_up: LookUp = system_look_up) -> None:
        self._look_up = look_up
        self._names: Dict[str, _Name] = {}

    def target(self, address: str) -> str:
        """What gRPC is to connect to for HOST:PORT. Starts a lookup unless one runs, and waits for it for PATIENCE at most.
        Raises NameUnknown."""
        host, _, port = address.rpartition(":")
        if is_literal(host):
            return address
        name = self._names.setdefault(address, _Name())
        if name.ended.is_set():
            name.ended.clear()
            threading.Thread(target=self._run, args=(name, host, int(port)), name=f"lookup-{host}", daemon=True).start()
        name.ended.wait(PATIENCE)
        addresses = name.addresses
        if not addresses:
            raise NameUnknown(f"no address of {host} is known: {name.failure}")
        return target_of(addresses, int(port))

    def keep(self, addresses: Sequence[str]) -> None:
        """Forgets all other names."""
        for address in [address for address in self._names if address not in addresses]:
            del self._names[address]

    def _run(self, name: _Name, host: str, port: int) -> None:
        try:
            name.addresses = self._look_up(host, port) or name.addresses
        except (OSError, UnicodeError) as error:  # the latter: no name at all, such as one with an empty label
            name.failure = str(error)
        finally:
            name.ended.set()
