"""Keys, labels and addresses with control characters, newlines, markup and all of UTF-8: whoever shows them, in a log, a table, JSON,
metrics or a page, shows one value as one value, and a terminal, a browser or a parser takes no orders from it."""

from __future__ import annotations

import json
import re
import urllib.parse
from typing import Any

import frames
import grpc
import pytest
from cases import cases
from nodes import ROOT, VARIANTS, Node, Variant
from pieces import octets

CONTROL = r"[\x00-\x09\x0b-\x1f\x7f-\x9f]"
LOG_LINE = re.compile(r'time=\S+ level=[A-Z]+ node=n1 msg=(?:"(?:[^"\\]|\\.)*"|\S+)(?: [a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^ "]*))*')
METRIC = re.compile(r'(?:# .*|[a-z_]+(?:\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? [-+0-9.eInfNa]+)')

plain = pytest.mark.parametrize("variant", [name for name in VARIANTS if name.endswith("plain")], indirect=True)
texts = pytest.mark.parametrize("case", cases("texts"))


def text_of(case: dict[str, Any]) -> bytes:
    return octets(case.get("text", case.get("bytes")))


def fields(*pairs: tuple[int, Any]) -> list[list[Any]]:
    """Bytes as text with escapes, as cases have them."""
    return [[number, "".join(f"\\x{byte:02x}" for byte in value) if isinstance(value, bytes) else value] for number, value in pairs]


def shown(node: Node, *words: str) -> str:
    done = node.ctl(*words)
    assert done.returncode == 0, done
    text = done.stdout.decode()  # UTF-8 whatever was stored
    assert not re.search(CONTROL, text), text
    return text


@plain
@texts
def test_badinput_text_as_key(variant: Variant, lone: Node, case: dict[str, Any]) -> None:
    text = text_of(case)
    lone.call("ControlService/Put", fields((1, text), (2, text)))
    assert text in lone.call("ControlService/Get", fields((1, text)))
    keys = [line for line in shown(lone, "list").split("\n")[1:-1] if not line.startswith(("beside", "once", "bystander"))]
    assert len(keys) == 1, "one key is one line"
    stored = json.loads(shown(lone, "-o", "json", "list"))
    assert any(item.get("key", "").encode() == text or "key_base64" in item for item in stored)
    shown(lone, "log", "--from", "1")
    lone.call("ControlService/Delete", fields((1, text)))


@plain
@texts
def test_badinput_text_as_label(variant: Variant, lone: Node, case: dict[str, Any]) -> None:
    text = text_of(case)
    request = fields((1, b"labelled"), (2, b"i"), (3, b"h:1"), (4, b"gcp"), (6, fields((1, b"k" + text), (2, text))))
    if "bytes" in case or b"\0" in text:
        with pytest.raises(grpc.RpcError) as refused:
            lone.call("WorkerService/RegisterWorker", request)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        return
    lone.call("WorkerService/RegisterWorker", request)
    assert sum(line.startswith("labelled ") for line in shown(lone, "worker", "list").split("\n")) == 1
    shown(lone, "worker", "show", "labelled")
    row = next(row for row in json.loads(shown(lone, "-o", "json", "worker", "list")) if row["id"] == "labelled")
    assert row["labels"] == {"k" + text.decode(): text.decode()}
    status, body = lone.page("/cluster-state")
    assert status == 200 and not re.search(r"[\x00-\x09\x0b-\x1f]", body)
    assert next(row for row in json.loads(body) if row["id"] == "labelled")["id"] == "labelled"


@plain
@texts
@pytest.mark.parametrize("place", ["worker_id", "instance_id", "address", "cloud"])
def test_badinput_text_as_name(variant: Variant, lone: Node, case: dict[str, Any], place: str) -> None:
    """Names are plain from the beginning; the refusal says which one was wrong, and repeats nothing."""
    values = dict(worker_id=b"w", instance_id=b"i", address=b"h:1", cloud=b"gcp")
    values[place] = text_of(case) + (b":1" if place == "address" else b"")
    with pytest.raises(grpc.RpcError) as refused:
        lone.call("WorkerService/RegisterWorker", fields(*enumerate(values.values(), 1)))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT and place in refused.value.details()
    assert not re.search(CONTROL + "|[<>]", refused.value.details())


@plain
@texts
def test_badinput_text_in_the_log(variant: Variant, member: Node, case: dict[str, Any]) -> None:
    """What a stranger says is logged, and so are names of calls, and each event is one line that parses."""
    before = len(member.log())
    text = text_of(case)
    envelope = fields((1, text[:60]), (2, 1), (3, text[:60]), (4, text[:60]), (5, 1))
    with pytest.raises(grpc.RpcError):
        member.call("RaftService/RequestVote", [[1, envelope], [2, 1], [3, "n2"]])
    with member.connect() as connection:
        path = ("/" + urllib.parse.quote(text)).encode()
        connection.send(frames.call(1, path.decode(), frames.grpc_message(b"")))
        connection.outcome()
    said = member.log()[before:]
    assert not re.search(CONTROL, said)
    for line in said.split("\n")[:-1]:
        assert LOG_LINE.fullmatch(line), line


@plain
def test_badinput_text_in_metrics(variant: Variant, lone: Node) -> None:
    """After all of that: lines of Prometheus' format alone, and no name of a stranger's making."""
    status, body = lone.page("/metrics")
    assert status == 200
    assert [line for line in body.splitlines() if not METRIC.fullmatch(line)] == []
    assert "forged" not in body and "<" not in body.replace("<=", "")


def test_badinput_text_in_pages() -> None:
    """The dashboard puts texts into the page as texts: nothing in it makes markup of a string."""
    script = (ROOT / "src/http/dashboard.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setAttribute\(.on", script)


@plain
def test_badinput_page_headers(variant: Variant, lone: Node) -> None:
    """JSON that has markup in it is no page for a browser, whatever it believes to see."""
    for path in ("/cluster-state", "/status", "/nodes", "/"):
        with lone.connect_http() as opened:
            opened.sendall(f"GET {path} HTTP/1.1\r\nHost: {lone.http}\r\nConnection: close\r\n\r\n".encode())
            head = b"".join(iter(lambda: opened.recv(65536), b"")).partition(b"\r\n\r\n")[0].lower()
        assert b"x-content-type-options: nosniff" in head
        assert path != "/" or b"content-security-policy: " in head
