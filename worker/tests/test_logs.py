"""Log lines: one an event, whatever is in it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from baton_worker.logs import LineFormatter


def line(form: str, message: str = "registered", level: int = logging.INFO, **fields: Any) -> str:
    record = logging.LogRecord("baton_worker", level, "", 0, message, None, None)
    record.created = 1795410367.1239
    record.fields = fields
    return LineFormatter("w1", form).format(record)


def TestWorkerLogLine() -> None:
    assert line("logfmt", leader="n1", epoch=3) == (
        'time=2026-11-23T05:06:07.123Z level=INFO worker=w1 msg="registered" leader=n1 epoch=3'
    )


def TestWorkerLogLevels() -> None:
    names = [line("logfmt", level=level).split()[1] for level in (10, 20, 30, 40)]
    assert names == ["level=DEBUG", "level=INFO", "level=WARN", "level=ERROR"]


@pytest.mark.parametrize("value", ["", "a b", 'a"b', "a=b", "a\nb", "a\\b", "\x1b[2J", "\u2028", "é"])
def TestWorkerLogValuesAreEscaped(value: str) -> None:
    assert line("logfmt", error=value).endswith(f" error={json.dumps(value)}")
    assert line("logfmt", error=value).isascii() and "\n" not in line("logfmt", error=value)


def TestWorkerLogJson() -> None:
    assert json.loads(line("json", 'a "b"', leader="n1", epoch=3)) == {
        "time": "2026-11-23T05:06:07.123Z",
        "level": "INFO",
        "worker": "w1",
        "msg": 'a "b"',
        "leader": "n1",
        "epoch": 3,
    }
