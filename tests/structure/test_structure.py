"""The shape of the source: which room sees which (docs/design.md, layout), how long a function is, what is not to be found."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/release"

# A room may include its own headers and those of these rooms; where a path is named, that header alone.
ROOMS = {
    "base": set(),
    "raft": {"base"},
    "wal": {"base", "raft"},
    "wire": {"base", "raft"},
    "state": {"base", "raft/entry.h", "wire"},
    "tls": {"base"},
    "names": {"base"},
    "rpc": {"base", "names", "tls"},
    "policy": {"base", "raft"},
    "node": {"base", "raft", "wal", "state", "wire", "policy", "rpc"},
    "verbs": {"base", "raft", "state", "wire", "node/verb.h"},
    "http": {"base", "names", "tls", "node/view.h"},
    "wanlink": {"base"},
    "manual": {"base"},
    "ctl": {"base", "manual", "tls", "policy/membership.h", "wire", "rpc"},
    "bench": {"base", "tls", "wire", "rpc", "ctl/endpoints.h"},
    "cmd": {"base", "names", "tls", "raft", "wal", "wire", "state", "policy", "rpc", "node", "verbs", "http", "wanlink", "manual", "ctl", "bench"},
}

# What the build makes, by who may include it. protobuf-c's messages of baton are for tests alone, to compare with.
GENERATED = {
    r"baton/v1/\w+\.pb\.h": {"wire", "state", "node", "verbs", "ctl", "bench"},
    r"(health|reflection)\.pb-c\.h": {"rpc"},
    r"descriptor_set\.inc": {"wire"},
}

# Circles of files that are left, by room: to be opened, and then struck out here.
CIRCLES = {
    "rpc": {"connection", "runtime", "stats", "transport"},
    "wal": {"recovery", "wal", "writer"},
}

FILE_LINES_MAX = {"src": 600, "worker": 600, "bench": 600, "proto": 600, "tests": 800}

# What libraft may ask of the world: memory, and comparing and moving bytes. No clock, file, thread, log or chance.
RAFT_MAY_CALL = r"__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|mem(cpy|move|set|cmp|chr)|str(len|n?cmp|nlen)|[mc]alloc|realloc|free|qsort"
RAFT_MAY_CALL += r"|__?sn?printf_chk|v?snprintf|mem_\w+|arena_\w+|buf_\w+|error_\w+|id_check|address_check|cloud_check"

BANNED = r"\b(strcpy|strcat|sprintf|vsprintf|gets|rand|srand|random|sleep|usleep|atoi|atol|strtok|alloca|system|tmpnam)\s*\("

FUNCTION_LINES_MAX = 70


def tracked(*patterns):
    listing = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]


def name_of(path):
    return str(path.relative_to(ROOT))


def c_files(*folders):
    return tracked(*(f"{folder}/*.[ch]" for folder in folders))


def code_of(path):
    """The lines, with comments and the contents of strings blanked."""
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', path.read_text())
    text = re.sub(r"/\*.*?\*/", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)
    return re.sub(r"//.*", "", text).splitlines()


def included(path):
    return re.findall(r'^\s*#include "([^"]+)"', path.read_text(), re.MULTILINE)


def room_of(path):
    return path.relative_to(ROOT / "src").parts[0]


def may_include(room, header):
    for pattern, rooms in GENERATED.items():
        if re.fullmatch(pattern, header):
            return room in rooms
    return {header, header.split("/")[0]} & {room, *ROOMS[room]}


def test_rooms_see_only_those_named():
    wrong = [f"{name_of(path)} includes {header}" for path in c_files("src") for header in included(path)
             if not may_include(room_of(path), header)]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def circles(edges):
    """The sets of names that reach each other."""
    reached = {name: set(edges[name]) for name in edges}
    for middle in edges:
        for name in edges:
            if middle in reached[name]:
                reached[name] |= reached[middle]
    both = (frozenset(other for other in edges if other in reached[name] and name in reached[other]) for name in edges)
    return set(both) - {frozenset()}


@pytest.mark.parametrize("room", ROOMS)
def test_files_of_a_room_make_no_circle(room):
    """x.c and x.h are one node; it depends on what they include of their own room."""
    edges = {path.stem: set() for path in c_files(f"src/{room}")}
    for path in c_files(f"src/{room}"):
        own = {pathlib.Path(header).stem for header in included(path) if header.startswith(f"{room}/")}
        edges[path.stem] |= (own - {path.stem}) & set(edges)
    assert circles(edges) == ({frozenset(CIRCLES[room])} if room in CIRCLES else set())


def test_files_are_short():
    long = []
    kinds = ("c", "h", "py", "js", "css", "html", "proto")
    for path in tracked(*(f"{folder}/*.{kind}" for folder in FILE_LINES_MAX for kind in kinds)):
        lines = len(path.read_text().splitlines())
        if lines > FILE_LINES_MAX[path.relative_to(ROOT).parts[0]]:
            long.append(f"{name_of(path)} has {lines} lines")
    assert not long, "\n".join(long)


def test_every_room_is_known():
    rooms = {room_of(path) for path in c_files("src")}
    assert rooms <= set(ROOMS), rooms - set(ROOMS)


def symbols(library, kind):
    listing = subprocess.run(["nm", kind, "--format=just-symbols", library], check=True, capture_output=True, text=True)
    return {line for line in listing.stdout.splitlines() if line and not line.endswith(":")}


def test_raft_calls_nothing_of_the_world():
    library = BUILD / "src/raft/libraft.a"
    if not library.exists():
        pytest.skip("build/release is not built yet")
    # A thin archive names its objects; both kinds are read alike.
    asked = symbols(library, "--undefined-only") - symbols(library, "--defined-only")
    assert not {symbol for symbol in asked if not re.fullmatch(RAFT_MAY_CALL, symbol)}


def functions(path):
    """(line, name, length) of each function: a brace alone at the left edge ends it, a line of code there begins it."""
    lines = code_of(path)
    start = 0
    for number, line in enumerate(lines):
        if re.match(r"[A-Za-z_]", line):
            start = number
        if line.rstrip() == "}":
            name = re.search(r"(\w+)\(", lines[start])
            yield start + 1, name[1] if name else lines[start], number - start + 1


def test_functions_fit_a_screen():
    long = [
        f"{name_of(path)}:{line}: {name} has {length} lines"
        for path in c_files("src", "tests")
        for line, name, length in functions(path)
        if length > FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_no_banned_calls():
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in c_files("src")
        for number, line in enumerate(code_of(path), 1)
        if re.search(BANNED, line)
    ]
    assert not found, "\n".join(found)


def test_nothing_is_left_to_do():
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in tracked("*.c", "*.h", "*.py", "*.build", "*.proto", "Makefile", "deploy", "bench", ".ci", "tests/run")
        if path != pathlib.Path(__file__).resolve()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if re.search(r"\b(FIXME|XXX|TODO|HACK)\b", line)
    ]
    assert not found, "\n".join(found)


def test_operations_quotes_what_is_said():
    """Whoever looks for a message in the table of docs/operations.md finds it: as the source has it, but for the name of a node."""
    page = (ROOT / "docs/operations.md").read_text().split("\n| you see |", 1)[1].split("\n\n", 1)[0]
    quoted = [text for row in re.findall(r"^\| (.*?) \|", page, re.MULTILINE)
              for text in re.findall("`([^`]+)`", row)]  # fmt: skip
    said = "".join(path.read_text() for folder in ("src", "deploy") for path in (ROOT / folder).rglob("*")
                   if path.is_file() and path.suffix in ("", ".c", ".h"))  # fmt: skip
    assert len(quoted) >= 8
    assert [text for text in quoted if not re.search(re.sub(r"\\?\bn2\b", r"(%[.*]*s|\\{name\\})", re.escape(text)), said)] == []


def is_input(path):
    """Of a fuzz target: bytes of any kind."""
    return {"corpus", "crashes"} & set(path.parts)


def test_files_say_first_what_they_are():
    """But for generated files and the plans of single rooms, which say nothing but what the room is made of."""
    opening = {".c": "// ", ".h": "// ", ".proto": "// ", ".py": ('"""', 'r"""'), "": ("# ", '"""')}
    wrong = []
    for path in tracked("src", "tests", "worker", "bench", "deploy", "proto", "Makefile", ".ci"):
        if path.suffix not in opening or "_proto" in path.parts or path.name.startswith(".") or is_input(path):
            continue
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#!")] or [""]
        if not lines[0].startswith(opening[path.suffix]):
            wrong.append(f"{name_of(path)} begins with: {lines[0][:60]}")
    assert not wrong, "\n".join(wrong)


def test_every_c_file_is_built():
    forgotten = []
    verbs = re.findall(r"^ +X\((\w+)\)", (ROOT / "src/verbs/verbs.h").read_text(), re.MULTILINE)  # read by its meson.build
    for path in c_files("src", "tests/unit", "tests/interop"):
        plans = [folder / "meson.build" for folder in path.parents if ROOT in (folder, *folder.parents)]
        if path.suffix == ".c" and not any(plan.exists() and path.name in plan.read_text() for plan in plans):
            if path.parent.name == "verbs" and path.stem in verbs:
                continue
            forgotten.append(name_of(path))
    assert not forgotten, "\n".join(forgotten)


def test_asserts_stay_compiled_in():
    assert "b_ndebug=false" in (ROOT / "meson.build").read_text()
    assert not [name_of(path) for path in c_files("src") if re.search(r"#\s*define\s+NDEBUG", path.read_text())]


def functions_of(*arguments):
    listing = subprocess.run(["nm", "--defined-only", *arguments], check=True, capture_output=True, text=True)
    return {line.split()[-1].split("@")[0] for line in listing.stdout.splitlines() if line.split()[-2] in "TW"}


@pytest.mark.parametrize("program", ["batond", "batonctl", "wanlink", "baton-bench"])
def test_programs_define_no_name_of_their_libraries(program):
    """The linker would take ours wherever the library's is meant."""
    path = BUILD / "src/cmd" / program
    if not path.exists():
        pytest.skip("build/release is not built yet")
    libraries = re.findall(r"=> (/\S+)", subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout)
    assert libraries
    ours = {name for name in functions_of("-g", path) if not name.startswith("_") and name != "data_start"}
    both = {name: library for library in libraries for name in ours & functions_of("-D", library)}
    assert not both, f"{program} defines names of its libraries"
