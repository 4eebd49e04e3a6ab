"""How a case's data says bytes: text with escapes, repetitions, protobuf fields, messages of gRPC, frames of HTTP/2.

In a case, bytes are one of:

    'ab\\x00\\n'                                 text; backslashes are as in Python's bytes
    { repeat = 'x', times = 1000 }             the same bytes again and again
    { proto = [[1, 'key'], [2, 7]] }           a protobuf message: numbers are varints, a list of lists is a message in it
    { grpc = BYTES, flag = 0, length = 5 }     a message with its prefix; `flag` and `length` may lie
    { frame = 'PING', flags = 0, stream = 0, payload = BYTES, length = 8 }
    { headers = 'ControlService/Status', stream = 1, more = [['x', 'y']], drop = ['te'], flags = 4 }
    { settings = [[4, 65535]] }
    [BYTES, BYTES, ...]                        one after the other
"""

from __future__ import annotations

import struct
from typing import Any

import frames

KINDS = {name: getattr(frames, name) for name in ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PING", "GOAWAY")}
KINDS.update(PUSH_PROMISE=frames.PUSH, WINDOW_UPDATE=frames.WINDOW_UPDATE, CONTINUATION=frames.CONTINUATION, UNKNOWN=0x42)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def proto(fields: list[list[Any]]) -> bytes:
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            nested = isinstance(value, list) and all(isinstance(item, list) for item in value)
            body = proto(value) if nested else octets(value)
            out += varint(number << 3 | 2) + varint(len(body)) + body
    return out


def path_of(method: str) -> str:
    """A method of baton's by its short name; any other path as it is."""
    return method if "." in method or method.startswith("/") else f"/baton.v1.{method}"


def request_headers(method: str, more: Any = (), drop: Any = ()) -> list[tuple[bytes, bytes]]:
    headers = [header for header in frames.request_headers(path_of(method)) if header[0].decode() not in drop]
    return headers + [(octets(name), octets(value)) for name, value in more]


def _frame(value: dict[str, Any]) -> bytes:
    payload = octets(value.get("payload", ""))
    made = frames.frame(KINDS[value["frame"]], value.get("flags", 0), value.get("stream", 0), payload)
    return struct.pack("!I", value.get("length", len(payload)))[1:] + made[3:]


def octets(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")
    if isinstance(value, list):
        return b"".join(map(octets, value))
    if "repeat" in value:
        return octets(value["repeat"]) * int(value["times"])
    if "proto" in value:
        return proto(value["proto"])
    if "grpc" in value:
        body = octets(value["grpc"])
        return struct.pack("!BI", value.get("flag", 0), value.get("length", len(body))) + body
    if "frame" in value:
        return _frame(value)
    if "settings" in value:
        return frames.settings(*(tuple(pair) for pair in value["settings"]))
    block = frames.header_block(request_headers(value["headers"], value.get("more", ()), value.get("drop", ())))
    return frames.frame(frames.HEADERS, value.get("flags", frames.END_HEADERS), value.get("stream", 1), block)
