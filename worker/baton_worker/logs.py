"""Log lines in the form of the nodes: one line an event, logfmt or JSON.

    time=2026-11-23T05:06:07.123Z level=INFO worker=w1 msg="registered" leader=n1 epoch=3
"""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime, timezone
from typing import Dict, Union

FORMATS = ("logfmt", "json")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

Value = Union[str, int, float]

_LEVEL_NAMES = {logging.WARNING: "WARN", logging.CRITICAL: "ERROR"}
_BARE = re.compile(r"[!#-<>-\[\]-~]+\Z")  # printable ASCII without space, quote, equals sign and backslash


class LineFormatter(logging.Formatter):
    """Writes a record and its `fields` (logger.info("registered", extra={"fields": {...}}))."""

    def __init__(self, worker: str, form: str) -> None:
        super().__init__()
        self._worker = worker
        self._json = form == "json"

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc)
        line: Dict[str, Value] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z",
            "level": _LEVEL_NAMES.get(record.levelno, record.levelname),
            "worker": self._worker,
            "msg": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        if self._json:
            return json.dumps(line)
        return " ".join(f"{key}={_logfmt(key, value)}" for key, value in line.items())


def _logfmt(key: str, value: Value) -> str:
    text = str(value)
    return text if key != "msg" and _BARE.match(text) else json.dumps(text)
