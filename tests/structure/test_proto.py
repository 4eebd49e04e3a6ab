"""The .proto files: where they stand, that other languages can generate from them, and the names that `buf lint` asks for."""

import re
import subprocess

import pytest
from google.protobuf import descriptor_pb2
from test_structure import ROOT, tracked

PROTO = ROOT / "proto"
FILES = [path.relative_to(PROTO) for path in tracked("proto/*.proto")]
OURS = [path for path in FILES if path.parts[0] == "baton"]


def described(tmp_path, files=OURS):
    """What protoc makes of the files. It refuses an option that is not defined; a warning, as of an import without use, counts."""
    out = tmp_path / "set"
    command = ["protoc", "--fatal_warnings", f"-I{PROTO}", f"--descriptor_set_out={out}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file


def test_proto_package_is_the_folder():
    assert OURS
    packages = {path: re.findall(r"^package ([\w.]+);$", (PROTO / path).read_text(), re.MULTILINE) for path in FILES}
    wrong = [f"{path}: {found}" for path, found in packages.items() if found != [".".join(path.parent.parts)]]
    assert not wrong, "\n".join(wrong)


def test_proto_options_are_defined(tmp_path):
    """Every file names its package in Go and in Java, all files the same one, and uses only options that are there."""
    options = {file.name: (file.options.go_package, file.options.java_package) for file in described(tmp_path)}
    assert set(options.values()) == {("baton/gen/baton/v1;batonv1", "io.baton.v1")}, options


def test_proto_imports_are_used(tmp_path):
    assert len(described(tmp_path, FILES)) == len(FILES)


@pytest.mark.parametrize("path", OURS, ids=str)
def test_proto_is_in_the_descriptor_set(path):
    """Of the server's reflection, and of the build."""
    assert f"'{path}'" in (PROTO / "meson.build").read_text()


# WatchEvent.Type: PUT and DELETE, as proto/buf.yaml says.
PLAIN_ENUMS = {"Type"}


def enums_of(scope):
    yield from scope.enum_type
    for message in getattr(scope, "message_type", getattr(scope, "nested_type", ())):
        yield from enums_of(message)


def misnamed(file):
    """As `buf lint` has it by its standard rules, as far as names go."""
    for enum in enums_of(file):
        prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
        if enum.name not in PLAIN_ENUMS:
            yield from (value.name for value in enum.value if not value.name.startswith(prefix))
            yield from (value.name for value in enum.value if (value.number == 0) != (value.name == prefix + "UNSPECIFIED"))
    for message in file.message_type:
        yield from (f"{message.name}.{field.name}" for field in message.field if not re.fullmatch("[a-z0-9_]+", field.name))
    for service in file.service:
        yield from () if service.name.endswith("Service") else (service.name,)
        for method in service.method:
            wanted = tuple(f".{file.package}.{method.name}{kind}" for kind in ("Request", "Response"))
            yield from () if (method.input_type, method.output_type) == wanted else (f"{service.name}.{method.name}",)


def test_proto_names(tmp_path):
    wrong = [f"{file.name}: {name}" for file in described(tmp_path) for name in misnamed(file)]
    assert not wrong, "\n".join(wrong)
