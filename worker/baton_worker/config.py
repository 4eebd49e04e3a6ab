"""A worker's identity and endpoints, checked before anything is sent.

The limits are those of the nodes (src/base/limits.h); checking here reports earlier, by the name of the argument,
what a node would refuse with INVALID_ARGUMENT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Mapping, Tuple

CLOUDS = ("aws", "gcp")
ID_MAX = 64
ADDRESS_MAX = 255
ENDPOINTS_MAX = 16
LABELS_MAX = 32
LABEL_MAX = 256
SLOTS_MAX = 2**32 - 1

_ID = re.compile(r"[A-Za-z0-9._-]+\Z")
# A name, an IPv4 address, or an IPv6 address in brackets.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])\Z")


class ConfigError(ValueError):
    """A value that no cluster would accept; the message says what is allowed."""


def check_id(text: str) -> str:
    if not _ID.match(text) or len(text) > ID_MAX:
        raise ConfigError(f"an id is 1 to {ID_MAX} characters of A-Z a-z 0-9 . _ -, not {_shown(text)}")
    return text


def check_address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    well_formed = colon and _HOST.match(host) and port.isascii() and port.isdigit() and len(port) <= 5
    if not well_formed or not 1 <= int(port) <= 65535 or len(text) > ADDRESS_MAX:
        raise ConfigError(
            f"an address is HOST:PORT with a port from 1 to 65535, at most {ADDRESS_MAX} characters, not {_shown(text)}"
        )
    return text


def check_cloud(text: str) -> str:
    if text not in CLOUDS:
        raise ConfigError(f"a cloud is one of {', '.join(CLOUDS)}, not {_shown(text)}")
    return text


def check_endpoints(addresses: Tuple[str, ...]) -> Tuple[str, ...]:
    if not 1 <= len(addresses) <= ENDPOINTS_MAX:
        raise ConfigError(f"give 1 to {ENDPOINTS_MAX} endpoints, not {len(addresses)}")
    for address in addresses:
        check_address(address)
    return tuple(dict.fromkeys(addresses))


def check_slots(slots: int) -> int:
    if not 0 <= slots <= SLOTS_MAX:
        raise ConfigError(f"slots are a number from 0 to {SLOTS_MAX}, not {slots}")
    return slots


def check_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    if len(labels) > LABELS_MAX:
        raise ConfigError(f"a worker has at most {LABELS_MAX} labels, not {len(labels)}")
    for key, value in labels.items():
        if not 1 <= _size(key) <= LABEL_MAX or _size(value) > LABEL_MAX:
            raise ConfigError(
                f"a label is KEY=VALUE with a key of 1 to {LABEL_MAX} bytes of UTF-8 and a value of at most {LABEL_MAX},"
                f" not {_shown(key + '=' + value)}"
            )
    return dict(labels)


def _size(text: str) -> int:
    """In bytes, or more than allowed if it has a NUL or is not UTF-8, as an argument may be."""
    try:
        return LABEL_MAX + 1 if "\0" in text else len(text.encode())
    except UnicodeEncodeError:
        return LABEL_MAX + 1


@dataclass(frozen=True)
class Config:
    """A worker's registration and the nodes that it asks. Raises ConfigError, naming the field."""

    id: str
    address: str
    cloud: str
    endpoints: Tuple[str, ...]
    slots: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks: Mapping[str, Callable[[Any], object]] = {
            "id": check_id,
            "address": check_address,
            "cloud": check_cloud,
            "endpoints": lambda given: check_endpoints(tuple(given)),
            "slots": check_slots,
            "labels": check_labels,
        }
        for name, check in checks.items():
            try:
                object.__setattr__(self, name, check(getattr(self, name)))
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from None

    def registration(self) -> Mapping[str, Any]:
        """What the worker says of itself: the fields of RegisterWorkerRequest, but for the instance."""
        said = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("id", "endpoints")}
        return {"worker_id": self.id, **said}


def _shown(text: str) -> str:
    """A value for an error message: escaped, and at most a line long."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")
