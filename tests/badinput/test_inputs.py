"""Bad input to a node that runs: calls, bytes on the gRPC port, bytes to the pages. After each the node answers a client that has
been there before, its term is what it was, and it has not grown; at the end the sanitizers have seen nothing."""

from __future__ import annotations

import re
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import frames
import grpc
import pytest
from cases import cases, one_of
from nodes import DEADLINE, Node, Variant, split
from pieces import octets, path_of, request_headers

GROWTH_KIB = 48 * 1024  # by one input: a few messages of the largest size, and what a sanitizer keeps of them
STATUS = frames.call(1, path_of("ControlService/Status"), frames.grpc_message(b""))


@contextmanager
def unharmed(node: Node) -> Iterator[None]:
    """What must be as before after any input. A node without a leader answers Status alone."""
    before, term = node.rss_kib(), node.status()["term"]
    yield
    node.check_alive()
    after = node.status()
    assert after["term"] == term, "its term has changed"
    if after["role"] == "leader":
        node.check_serves()
    else:
        node.call("ControlService/Status")
    assert node.rss_kib() - before < GROWTH_KIB


def code_name(number: int) -> str:
    return str(next(code.name for code in grpc.StatusCode if code.value[0] == number))


def result_of(outcome: frames.Outcome) -> str:
    if outcome.status is not None:
        return code_name(outcome.status)
    return f"http {outcome.headers[':status']}" if ":status" in outcome.headers else "reset" if outcome.reset is not None else "nothing"


def bytes_of_call(case: dict[str, Any]) -> bytes:
    path = octets(case["path"]).decode("latin-1")
    first = [(octets(name), octets(value)) for name, value in case.get("headers_first", ())]
    block = frames.header_block(first + request_headers(path, case.get("headers", ()), case.get("drop", ())))
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    out = b""
    for part in parts:
        kind = frames.CONTINUATION if out else frames.HEADERS
        out += frames.frame(kind, frames.END_HEADERS if part is parts[-1] else 0, 1, part)
    body = octets(case["data"]) if "data" in case else octets({"grpc": case["message"]})
    pieces = [body[at : at + 16384] for at in range(0, len(body), 16384)] or [b""]
    for piece in pieces:
        out += frames.frame(frames.DATA, frames.END_STREAM if case.get("end", True) and piece is pieces[-1] else 0, 1, piece)
    return out


@pytest.mark.parametrize("case", cases("calls"))
def test_badinput_call(variant: Variant, lone: Node, member: Node, case: dict[str, Any]) -> None:
    if case.get("only") == "tls" and variant.certs is None:
        pytest.skip("without certificates there are no roles")
    node = member if case.get("node") == "member" else lone
    for path, message in case.get("before", ()):
        node.channel.unary_unary(path_of(path))(octets(message), timeout=DEADLINE)
    with unharmed(node), node.connect(name=case.get("as", "me")) as connection:
        connection.read()  # its SETTINGS: until then the windows are small
        connection.send(bytes_of_call(case))
        outcome = connection.outcome()
        message = urllib.parse.unquote(outcome.headers.get("grpc-message", ""))
        print(case["name"], "->", result_of(outcome), message)
        assert result_of(outcome) in one_of(case["status"]), (outcome, message)
        assert case.get("words", "") in message
        # The connection is still good.
        connection.send(frames.call(3, path_of("/grpc.health.v1.Health/Check"), frames.grpc_message(b"")))
        assert connection.outcome(3).status == 0


def end_of(connection: frames.Connection) -> str:
    """How the node took it: it closes the connection, resets the stream, or goes on."""
    connection.send(frames.frame(frames.PING, payload=b"are you?"))
    while not connection.closed and connection.goaway is None:
        if any(outcome.reset is not None for outcome in connection.streams.values()):
            return "reset"
        if any(outcome.ended for outcome in connection.streams.values()):
            return "answered"
        if connection.pongs:
            return "serves"
        connection.read()
    return "closed"


@pytest.mark.parametrize("case", cases("connections"))
def test_badinput_connection(variant: Variant, lone: Node, case: dict[str, Any]) -> None:
    with unharmed(lone):
        if "raw" in case:
            with socket.create_connection(split(lone.address), timeout=DEADLINE) as opened:
                opened.sendall(octets(case["raw"]))
                if case.get("shut"):
                    opened.shutdown(socket.SHUT_WR)
                try:
                    while opened.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
            return
        opening = octets(case["opening"]) if "opening" in case else frames.PREFACE + frames.settings()
        with lone.connect(opening) as connection:
            connection.send(octets(case["bytes"]))
            end = end_of(connection)
            print(case["name"], "->", end, connection.goaway, connection.streams)
            wanted = case.get("end", "closed")
            assert end == wanted or wanted == "any" or (wanted == "reset" and end in ("answered", "closed"))
            if end == "answered":
                assert all(outcome.status != 0 for outcome in connection.streams.values())


@pytest.mark.parametrize("case", cases("pages"))
def test_badinput_page(variant: Variant, lone: Node, case: dict[str, Any]) -> None:
    said = b""
    with unharmed(lone), lone.connect_http() as opened:
        try:
            opened.sendall(octets(case["bytes"]).replace(b"{http}", lone.http.encode()))
            while b"\r\n\r\n" not in said or not whole(said):
                more = opened.recv(65536)
                if not more:
                    break
                said += more
        except (ConnectionError, OSError) as error:
            print(error)
    head, _, body = said.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.[01] (\d+) ", head)
    status = int(found[1]) if found else 0
    print(case["name"], "->", status, body[:200])
    assert status in one_of(case["status"])
    assert case.get("words", "").encode() in body
    assert "without" not in case or case["without"].encode() not in said
    assert said.count(b"HTTP/1.1 200") <= 1, "two answers to one request: what followed it was taken for another"


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("first", ["16030102000100", "1603010200010001fc0303", "", "ff"])
def test_badinput_page_begun(variant: Variant, lone: Node, first: str, count: int) -> None:
    """Connections to the pages that have begun a handshake, or a request, and say no more: the node works on."""
    with unharmed(lone):
        opened = [socket.create_connection(split(lone.http), timeout=DEADLINE) for _ in range(count)]
        for each in opened:
            each.sendall(bytes.fromhex(first))
        for _ in range(20):
            lone.check_serves()
        for each in opened:
            each.close()


def whole(said: bytes) -> bool:
    head, _, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])
