"""The generator of messages: what it makes compiles alone, and what it cannot do it says."""

import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GENERATED = ROOT / "build/release/proto"
HEADERS = [f"baton/v1/{name}.pb.h" for name in ("raft", "worker", "control", "command", "image")]

HEAD = 'syntax = "proto3"; package baton.v1; import "baton/v1/options.proto"; '


def generate(folder, text):
    """protoc's exit status and what it says, for a file of that text."""
    folder.joinpath("toy.proto").write_text(text)
    command = ["protoc", f"--plugin=protoc-gen-baton={ROOT}/proto/protoc-gen-baton", f"--baton_out={folder}"]
    command += [f"-I{folder}", f"-I{ROOT}/proto", "toy.proto"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return run.returncode, run.stderr


@pytest.mark.parametrize("header", HEADERS)
def test_a_generated_header_compiles_alone(header, tmp_path):
    if not (GENERATED / header).is_file():
        pytest.skip("build/release has not been built")
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header}"\n#include "{header}"\n')
    flags = ["-std=gnu17", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only"]
    subprocess.run(["cc", *flags, f"-I{ROOT}/src", f"-I{GENERATED}", source], check=True)


def test_a_message_is_generated(tmp_path):
    code, said = generate(tmp_path, HEAD + "message Toy { uint64 n = 1; repeated string names = 2 [(field) = {max_items: 3}]; }")
    assert code == 0, said
    header = tmp_path.joinpath("toy.pb.h").read_text()
    assert "struct pb_toy {\n    uint64_t n;\n    const struct slice *names;\n    size_t names_count;\n};" in header
    assert "PB_TOY_NAMES_MAX_ITEMS = 3," in header
    assert ".max_items = 3" in tmp_path.joinpath("toy.pb.c").read_text()


@pytest.mark.parametrize(
    "text, says",
    [
        ("message Toy { repeated uint64 numbers = 1; }", "toy.proto: numbers: repeated numbers are packed"),
        ("message Toy { float f = 1; }", "toy.proto: f: a type that protoc-gen-baton does not know yet"),
        ("message Toy { map<string, uint64> sizes = 1; }", "toy.proto: Toy.SizesEntry: a map that is not of strings to strings"),
        ("message Toy { uint64 n = 256; }", "toy.proto: Toy: a field number above 255"),
        ("message Toy { repeated Toy toys = 1; }", "toy.proto: Toy: a message that holds itself"),
        ("message Toy { Tin tin = 1; } message Tin { Toy toy = 1; }", "toy.proto: Toy: a message that holds itself"),
        (f"message Toy {{ {' '.join(f'repeated bytes b{n} = {n};' for n in range(1, 6))} }}", "toy.proto: Toy: more than 4 lists"),
    ],
)
def test_what_it_cannot_do_is_refused(text, says, tmp_path):
    code, said = generate(tmp_path, HEAD + text)
    assert code != 0
    assert says in said, said
    assert not tmp_path.joinpath("toy.pb.h").exists()


def test_a_foreign_type_is_refused(tmp_path):
    text = HEAD + 'import "google/protobuf/timestamp.proto"; message Toy { google.protobuf.Timestamp at = 1; }'
    code, said = generate(tmp_path, text)
    assert code != 0
    assert "toy.proto: .google.protobuf.Timestamp is not of package baton.v1" in said, said
