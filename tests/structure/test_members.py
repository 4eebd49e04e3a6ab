"""Members of structs that nothing reads: what is written and never asked for is dead, or a use of it was forgotten.

A heuristic by name: a member passes if any member of its name is read anywhere in src. Generated messages are not looked at.
"""

import re
from collections import Counter

from test_structure import c_files, code_of, name_of

UNREAD = {
    "inflight": "raft_progress tells tests how far replication is",
    "last_heard_us": "likewise",
    "repeated": "state_result tells tests that a session answered",
}

ACCESS = re.compile(r"(?:\.|->)\s*(\w+)")
# x->name = ..., .name = ... (also in an initialiser); but `*x->name = ...` reads the pointer.
ASSIGNED = re.compile(r"(?:\.|->)\s*(\w+)(?:\[[^][]*\])*\s*=(?!=)")
THROUGH = re.compile(r"^\s*\*+[\w.>\-\[\]]*?(?:\.|->)(\w+)\s*=(?!=)", re.MULTILINE)
# x->name += ...; x->name++; alone in their statement
COUNTED = re.compile(r"^\s*[\w>.\-\[\]()&]*?(?:\.|->)(\w+)(?:\[[^][]*\])*\s*(?:[-+|&*/]=[^;]*|\+\+|--);", re.MULTILINE)
OFFSET = re.compile(r"(?:offsetof|container_of)\([^;]*?(\w+)\)")

OPENS = re.compile(r"\s*(?:\w+ )*(?:struct|union)\b[^;()=]*\{\s*$")
OPENS_ENUM = re.compile(r"\s*enum\b.*\{\s*$")
FUNCTION = re.compile(r"\w[\w\s*]*\(\*(\w+)\)\(")
DECLARED = re.compile(r"(\w+)\s*(?:\[[^\]]*\]|:\s*\d+)*\s*$")


def members(lines):
    """(line, name) of each member that a struct or a union declares, those of structs in structs as well."""
    depth = 0
    for number, line in enumerate(lines, 1):
        line = re.sub(r"enum\s*\w*\s*\{[^}]*\}", "int", line)
        closes = re.match(r"\s*\}\s*\**(\w+)?", line)
        function = FUNCTION.match(line.strip())
        if OPENS.match(line) or (depth and OPENS_ENUM.match(line)):
            depth += 1
        elif depth and closes:
            depth -= 1
            if depth and closes[1]:
                yield number, closes[1]
        elif depth and function:
            yield number, function[1]
        elif depth and line.strip().endswith(";"):
            for part in line.strip()[:-1].split(","):
                if declared := DECLARED.search(part):
                    yield number, declared[1]


def unread(files):
    """{name: where it is declared} of members that no code of these files ({path name: lines}) reads."""
    text = "\n".join("\n".join(lines) for lines in files.values())
    reads = Counter(ACCESS.findall(text)) - Counter(ASSIGNED.findall(text)) - Counter(COUNTED.findall(text))
    reads += Counter(THROUGH.findall(text)) + Counter(OFFSET.findall(text))
    return {name: f"{path}:{number}" for path, lines in files.items() for number, name in members(lines) if not reads[name]}


def test_members_are_read():
    found = unread({name_of(path): code_of(path) for path in c_files("src")})
    assert not {name: where for name, where in found.items() if name not in UNREAD}
    assert set(UNREAD) <= set(found)


def test_what_is_never_read_is_found():
    toy = """
struct toy {
    int read;
    int set, *counted;
    void (*called)(int a);
    void (*forgotten)(int a);
    struct {
        int inner[4];
    } part;
    int **end;
    uint8_t bits : 3;
    enum { ON, OFF } state;
};
void f(struct toy *toy) {
    *toy = (struct toy){.set = 1, .read = 2, .forgotten = NULL};
    toy->part.inner[0] = toy->read;
    toy->counted += 4;
    toy->counted++;
    toy->called(1);
    *toy->end = NULL;
    toy->bits = 1;
}
"""
    assert set(unread({"toy.c": toy.splitlines()})) == {"set", "counted", "forgotten", "inner", "bits", "state"}
