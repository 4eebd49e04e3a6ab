"""A name server: name_server.py TABLE ADDRESS... answers questions on UDP port 53 of each address.

TABLE is read at each question: a line "NAME IPV4" for each name, and a line "NAME -" for one whose questions are dropped. Other
names do not exist; without the file every question is dropped. An address with a "!" in front listens and drops everything.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
from pathlib import Path
from typing import Optional


def table_of(path: Path) -> Optional[dict[str, str]]:
    try:
        return dict(line.split() for line in path.read_text().splitlines())
    except FileNotFoundError:
        return None


def answer(question: bytes, table: dict[str, str]) -> Optional[bytes]:
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode().lower())
        at += question[at] + 1
    (kind,) = struct.unpack(">H", question[at + 1 : at + 3])
    found = table.get(".".join(labels), "")
    if found == "-":
        return None
    records = 1 if found and kind == 1 else 0
    reply = question[:2] + struct.pack(">HHHHH", 0x8180 | (0 if found else 3), 1, records, 0, 0) + question[12 : at + 5]
    if records:
        reply += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(found)
    return reply


def main() -> None:
    path, listeners = Path(sys.argv[1]), selectors.DefaultSelector()
    for address in sys.argv[2:]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((address.lstrip("!"), 53))
        listeners.register(listener, selectors.EVENT_READ, address.startswith("!"))
    print("listening", flush=True)
    while True:
        for key, _ in listeners.select():
            question, peer = key.fileobj.recvfrom(2048)  # type: ignore[union-attr]
            table = None if key.data else table_of(path)
            reply = None if table is None else answer(question, table)
            if reply is not None:
                key.fileobj.sendto(reply, peer)  # type: ignore[union-attr]


main()
