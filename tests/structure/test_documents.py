"""docs/operations.md names every flag and every metric, as the programs have them, and none that does not exist; docs/testing.md
names tests that exist."""

import re
import subprocess
import sys

import pytest
from test_structure import BUILD, ROOT, c_files

DOCUMENT = ROOT / "docs/operations.md"
PROGRAMS = ("batond", "batonctl", "wanlink", "baton-bench")
METRIC = r"(?:raft|wal|baton|process|rpc)_[a-z0-9_]+"


# --- what the document says ---


def section(heading):
    """The text below a heading, up to the next of the same or a higher level."""
    level = re.match("#+", heading)[0]
    match = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert match, f"docs/operations.md has no section {heading}"
    return match[1]


def table(text):
    """The cells of each row but the first two, without backticks."""
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "").replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def documented_flags(program):
    """{"--flag": (how it is written, environment variable, default)}"""
    rows = table(section(f"### `{program}`"))
    flags = {re.search(r"--[a-z-]+", row[0])[0]: tuple(row[:3]) for row in rows}
    assert len(flags) == len(rows), "a flag has two rows"
    return flags


def documented_metrics():
    """{name: type}"""
    rows = table(section("## Metrics (`GET /metrics`)"))
    metrics = {re.sub(r"\{.*\}", "", row[0]): row[1] for row in rows}
    assert len(metrics) == len(rows), "a metric has two rows"
    return metrics


# --- what the programs have ---


def help_of(program):
    path = BUILD / "src/cmd" / program
    if not path.exists():
        pytest.skip("build/release is not built yet")
    return subprocess.run([path, "--help"], check=True, capture_output=True, text=True).stdout


def variable_of(program, block, before):
    """batond says once that all flags have a variable but those of its last section; the others name each."""
    if program != "batond":
        return "".join(re.findall(r"\[env: (\w+)\]", block))
    if "on the command line only" in before:
        return ""
    return "BATON_" + re.search(r"--([a-z-]+)", block)[1].upper().replace("-", "_")


def flags_of(program):
    """From --help, where a flag's line begins with two spaces and its further lines with more."""
    text = help_of(program)
    flags = {}
    for match in re.finditer(r"^  ((?:-\w, )?(--[a-z-]+)(?: \S+)?)(?:  .*)?$(?:\n {4,}.*)*", text, re.MULTILINE):
        default = re.search(r"\((?:default:? ([^)]*)|(required))\)", match[0])
        variable = variable_of(program, match[0], text[: match.start()])
        flags[match[2]] = (match[1], variable, (default[1] or default[2]) if default else "")
    return flags


def parsed_flags(program):
    """The long options that the program's source hands to getopt."""
    sources = {"batond": "cmd/batond_options.c", "batonctl": "ctl/vocabulary.c"}
    text = (ROOT / "src" / sources.get(program, f"cmd/{program}.c")).read_text().split("const struct manual_option ", 1)[-1]
    return {"--" + name for name in re.findall(r'(?:\{|\.name = )"([a-z-]+)",\s*(?:required_argument|no_argument|\.)', text)}


def worker_flags():
    sys.path.insert(0, str(ROOT / "worker"))
    cli = pytest.importorskip("baton_worker.cli")
    flags = {"--help": ("-h, --help", "", ""), "--version": ("--version", "", "")}
    for name, option in cli.OPTIONS.items():
        default = {None: "required", "false": "", cli.OPTIONS["id"].default: "the host's name"}.get(option.default, option.default)
        variable = cli.ENVIRONMENT_PREFIX + name.upper().replace("-", "_")
        flags[f"--{name}"] = (f"--{name} {option.metavar}".strip(), variable, default)
    return flags


def metrics_of_sources():
    """{name: type} of every metric: named in a call of metrics_add or metrics_add_histogram, or in a row X(member, kind, name,
    ...) or X(member, bounds, name, ...)."""
    metrics = {}
    for path in c_files("src"):
        text = re.sub(r"//.*", "", path.read_text())
        calls = re.findall(r"\bmetrics_add(?:_histogram)?\([^;{]*;", text)
        rows = re.findall(rf'\bX\(\w+, (?:COUNTER|GAUGE|\w*bounds\w*),\s*"{METRIC}"', text)
        for place in calls + rows:
            names = re.findall(rf'"({METRIC})"', place)
            kind = re.search(r"\b(?:METRIC_)?(COUNTER|GAUGE)\b", place)
            metrics.update({name: kind[1].lower() if kind else "histogram" for name in names})
    return metrics


def arguments_of(call):
    """The text of a call from behind its opening bracket on, split at its commas."""
    depth, quoted, arguments, at = 0, False, [""], 0
    while depth >= 0:
        c = call[at]
        if quoted:
            quoted = c != '"' or call[at - 1] == "\\"
        elif c in "([{)]}":
            depth += 1 if c in "([{" else -1
        elif c == '"':
            quoted = True
        if c == "," and depth == 0 and not quoted:
            arguments.append("")
        else:
            arguments[-1] += c
        at += 1
    return arguments


def events_of_sources():
    """{event: (level, message)} of every call of slog; the message is None where it is put together."""
    events = {}
    for path in c_files("src"):
        text = re.sub(r"^\s*//.*", "", path.read_text(), flags=re.MULTILINE)
        for call in re.finditer(r"^\s+slog\(", text, re.MULTILINE):
            level, event, message = arguments_of(text[call.end() :])[:3]
            levels, names = re.findall(r"SLOG_(\w+)", level), re.findall(r'"([^"]*)"', event)
            messages = re.findall(r'"((?:\\.|[^"\\])*)"', re.sub(r'"\s*"', "", message))
            for i, name in enumerate(names):
                literal = messages[i] if len(messages) == len(names) else None
                assert events.setdefault(name, (levels[min(i, len(levels) - 1)].lower(), literal))[1] == literal, name
    return events


# --- the comparison ---


@pytest.mark.parametrize("program", PROGRAMS)
def test_flags_are_documented(program):
    assert documented_flags(program) == flags_of(program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_names_every_flag(program):
    assert parsed_flags(program) == set(flags_of(program))


def test_worker_flags_are_documented():
    assert documented_flags("baton-worker") == worker_flags()


def test_only_known_flags_are_mentioned():
    """In prose and examples, too."""
    known = set(worker_flags()).union(*map(flags_of, PROGRAMS))
    known |= {"--cacert", "--ip", "--volumes", "--revoke"}  # of curl, Docker and make-certs
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", DOCUMENT.read_text())) - known == set()


def test_metrics_are_documented():
    assert documented_metrics() == metrics_of_sources()


def test_only_known_metrics_are_mentioned():
    histograms = {name for name, kind in metrics_of_sources().items() if kind == "histogram"}
    known = set(metrics_of_sources()) | {name + suffix for name in histograms for suffix in ("_bucket", "_count", "_sum")}
    assert set(re.findall(rf"`({METRIC})(?:\{{[^`]*\}})?`", DOCUMENT.read_text())) - known == set()


# --- the catalogue of faults ---


def known_tests():
    """Names of tests and scenarios."""
    names = set()
    for path in (ROOT / "tests").rglob("*.[cp]*"):
        if path.suffix in (".c", ".py"):
            names |= set(re.findall(r"(?:void|def) (Test\w+|test_\w+)\(", path.read_text()))
    for path in (ROOT / "tests/scenarios").glob("*.txt"):
        names |= set(re.findall(r"^== (\w+)$", path.read_text(), re.MULTILINE))
    return names


def test_catalogue_names_tests_that_exist():
    text = (ROOT / "docs/testing.md").read_text()
    rows = re.findall(r"^\| B(\d+) \|.*\| (.*) \|$", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 70))
    named = {name for _, here in rows for name in re.findall(r"`([A-Z][a-z]\w+)`", here)}
    assert not named - known_tests(), "docs/testing.md names tests that do not exist"


def test_testing_tells_the_last_runs():
    """Its generated parts are what `make evidence` would write."""
    assert subprocess.run([ROOT / "tests/evidence", "--check"], check=False).returncode == 0, "run make evidence"


def test_events_are_documented():
    section = DOCUMENT.read_text().split("\n## Log lines\n", 1)[1].split("\n## ", 1)[0]
    documented = re.findall(r"^\| `([a-z0-9-]+)` \| (debug|info|warn|error) \| (.*) \|$", section, re.MULTILINE)
    events = events_of_sources()
    assert [name for name, _, _ in documented] == sorted(events)
    for name, level, message in documented:
        assert level == events[name][0] and events[name][1] in (None, message), name
