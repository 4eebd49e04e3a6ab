"""Lines of a segment, changed and made right again: checksums and marks as docs/wal-format.md says."""

from __future__ import annotations

import re

_TABLE = []
for _byte in range(256):
    _crc = _byte
    for _ in range(8):
        _crc = _crc >> 1 ^ (0x82F63B78 if _crc & 1 else 0)
    _TABLE.append(_crc)


def crc32c(data: bytes, before: int = 0) -> int:
    crc = before ^ 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def reseal(segment: bytes) -> bytes:
    """A first segment with each line's checksum, and each mark's length and checksum, of the bytes that are there."""
    out, batch, chain = b"", b"", 0
    body = segment.rstrip(b"\n") + b"\n"
    for line in body.splitlines():
        content = line[: line.rindex(b',"crc":"')]
        if line.startswith(b'{"batch":'):
            content = re.sub(rb'"bytes":\d+', b'"bytes":%d' % len(batch), content)
            chain = crc32c(batch + content, chain)
            out += batch + content + b',"crc":"%08x"}\n' % chain
            batch = b""
        else:
            batch += content + b',"crc":"%08x"}\n' % crc32c(content)
    return out + batch + segment[len(body) :]
