"""What operators have: grpcurl by reflection, and load from ghz and h2load, every call counted by our server."""

import json
import re
import subprocess

import echo_pb2 as pb
import pytest
from frames import grpc_message
from google.protobuf import descriptor_pb2
from harness import tool

CALLS = 20_000


def run(*command, fails=False):
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False)
    assert (process.returncode != 0) == fails, f"{command}: exit {process.returncode}\n{process.stdout}\n{process.stderr}"
    return process.stdout + process.stderr


def test_interop_grpcurl(shared_server):
    grpcurl = [tool("grpcurl"), "-plaintext", "-max-time", "20"]
    address = shared_server.address
    listed = run(*grpcurl, address, "list").split()
    print(listed)
    assert listed == ["baton.interop.Echo", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                      "grpc.reflection.v1alpha.ServerReflection"]
    assert "baton.interop.Echo.Chat" in run(*grpcurl, address, "list", "baton.interop.Echo")
    assert "rpc Stream ( .baton.interop.StreamRequest )" in run(*grpcurl, address, "describe", "baton.interop.Echo")
    for symbol in ["baton.interop.EchoRequest", "baton.interop.Echo.Chat", "grpc.health.v1.HealthCheckResponse.ServingStatus",
                   "grpc.reflection.v1.ServerReflectionRequest", "grpc.reflection.v1alpha.ExtensionRequest"]:
        assert symbol.rsplit(".", 1)[1] in run(*grpcurl, address, "describe", symbol)

    answer = json.loads(run(*grpcurl, "-d", '{"payload": "aGVsbG8="}', address, "baton.interop.Echo/Echo"))
    assert answer == {"payload": "aGVsbG8="}
    streamed = run(*grpcurl, "-d", '{"count": 3, "size": 3}', address, "baton.interop.Echo/Stream")
    assert streamed.count('"AAAA"') == 3
    chat = run(*grpcurl, "-d", '{"payload": "YQ=="}{"payload": "Yg=="}', address, "baton.interop.Echo/Chat")
    assert re.findall(r'"payload": "(.*)"', chat) == ["YQ==", "Yg=="]
    failed = run(*grpcurl, "-d", '{"status": 9, "message": "100 % no"}', address, "baton.interop.Echo/Echo", fails=True)
    assert "FailedPrecondition" in failed and "100 % no" in failed
    health = run(*grpcurl, address, "grpc.health.v1.Health/Check")
    assert json.loads(health) == {"status": "SERVING"}

    for unknown in ["baton.interop.Nothing", "nothing"]:
        said = run(*grpcurl, address, "describe", unknown, fails=True)
        print(said.strip())
        assert "not found" in said.lower()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_interop_reflection(shared_server, version):
    """Each question of the protocol, and each answer to one that has none."""
    module = __import__(f"{version}.reflection_pb2", fromlist=["reflection_pb2"])
    stubs = __import__(f"{version}.reflection_pb2_grpc", fromlist=["reflection_pb2_grpc"])
    ask = module.ServerReflectionRequest
    questions = [
        ask(host="h", list_services="*"),
        ask(file_by_filename="echo.proto"),
        ask(file_containing_symbol="baton.interop.Echo.Chat"),
        ask(all_extension_numbers_of_type="baton.interop.EchoRequest"),
        ask(file_by_filename="nothing.proto"),
        ask(file_containing_symbol="baton.interop.nothing"),
        ask(all_extension_numbers_of_type="baton.interop.Echo"),
        ask(file_containing_extension={"containing_type": "baton.interop.EchoRequest", "extension_number": 7}),
        ask(),
    ]
    stub = stubs.ServerReflectionStub(shared_server.channel)
    answers = list(stub.ServerReflectionInfo(iter(questions), timeout=20))
    assert [answer.original_request for answer in answers] == questions
    assert answers[0].valid_host == "h"
    services = [service.name for service in answers[0].list_services_response.service]
    assert sorted(services) == ["baton.interop.Echo", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                                "grpc.reflection.v1alpha.ServerReflection"]
    files = list(answers[1].file_descriptor_response.file_descriptor_proto)
    described = descriptor_pb2.FileDescriptorProto.FromString(files[0])
    assert [message.name for message in described.message_type] == list(pb.DESCRIPTOR.message_types_by_name)
    assert list(answers[2].file_descriptor_response.file_descriptor_proto) == files
    assert answers[3].all_extension_numbers_response.base_type_name == "baton.interop.EchoRequest"
    assert not answers[3].all_extension_numbers_response.extension_number
    assert [answer.error_response.error_code for answer in answers[4:]] == [5, 5, 5, 5, 3]


def all_counted_ok(server, method):
    """20,000 calls came in and ended OK: by the service's count and by the server's own."""
    stats = server.stats()
    print(f"echo_server: started {stats.started}, ok {stats.ok}, failed {stats.failed}, cancelled {stats.cancelled}")
    assert (stats.started, stats.ok, stats.failed, stats.cancelled, stats.live) == (CALLS, CALLS, 0, 0, 0)
    counted = [line for line in stats.metrics.splitlines() if method in line and "_total{" in line]
    print(*counted, sep="\n")
    assert sum(float(line.split()[-1]) for line in counted if 'OK"' in line) == CALLS
    assert all('OK"' in line for line in counted if float(line.split()[-1]) > 0)


def test_interop_ghz(server):
    said = run(tool("ghz"), "--insecure", "--call", "baton.interop.Echo.Echo", "-n", str(CALLS), "-c", "64", "--connections", "4",
               "-d", '{"payload": "aGVsbG8="}', "--format", "json", server.address)
    report = json.loads(said)
    print(f"ghz: {report['count']} calls, {report['rps']:.0f}/s, {report['statusCodeDistribution']}")
    assert report["statusCodeDistribution"] == {"OK": CALLS}
    all_counted_ok(server, "Echo")


def test_interop_h2load(server, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(grpc_message(pb.EchoRequest(payload=b"x" * 100).SerializeToString()))
    said = run(tool("h2load"), "-n", str(CALLS), "-c", "8", "-m", "32", "-d", str(body), "-H", "content-type: application/grpc",
               "-H", "te: trailers", f"http://{server.address}/baton.interop.Echo/Echo")
    print(*[line for line in said.splitlines() if line.startswith(("requests:", "status codes:", "finished in"))], sep="\n")
    assert f"{CALLS} succeeded, 0 failed, 0 errored, 0 timeout" in said
    all_counted_ok(server, "Echo")
