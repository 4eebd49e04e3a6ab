"""`make up`, `make down` and the commands in between, by deploy/local/cluster: each test in its own network namespaces."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build"))
WORLD = str(ROOT / "tests/cluster/world")
NAMES = ["n1", "n2", "n3", "w1", "w2", "w3"]
SECONDS = 120  # for a whole test; a warm start takes two or three

pytestmark = pytest.mark.skipif(
    subprocess.run([WORLD, "true"], capture_output=True).returncode != 0, reason="may not make network namespaces"
)


def in_a_world(tmp_path, script):
    """Runs the shell script in a world, $cluster being deploy/local/cluster and $net deploy/local/net; gives its output."""
    begin = f'set -euo pipefail; cluster="{ROOT}/deploy/local/cluster"; net="{ROOT}/deploy/local/net"\n'
    done = subprocess.run(
        [WORLD, "bash", "-c", begin + script],
        env={**os.environ, "BATON_BUILD": str(BUILD), "BATON_CLUSTER": str(tmp_path / "cluster")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# What a cluster leaves behind if anything does: processes, namespaces, interfaces, routes, mounts, rules.
TRACES = """
traces() {
    ps -e -o args= | grep -E 'batond|baton_worker|wanlink' | grep -v grep || true
    ls /run/netns 2>/dev/null || true
    ip -o link show | cut -d: -f2
    ip route
    iptables -S
}
"""


def states(output):
    """The last table in the output: the state of each host."""
    return {row[0]: row[-1] for row in re.findall(r"^([nw]\d) .*?(\S+)(?:, term.*)?$", output, re.MULTILINE)}


def pids(output):
    return dict(re.findall(r"^([nw]\d) .*?  (\d+) ", output, re.MULTILINE))


def test_up_shows_a_whole_cluster(tmp_path):
    output = in_a_world(tmp_path, '"$cluster" up')
    found = states(output)
    assert sorted(found) == NAMES
    assert sorted(found[name] for name in NAMES[:3]) == ["follower", "follower", "leader"]
    assert [found[name] for name in NAMES[3:]] == ["online"] * 3
    tries = output[output.index("Try, from") :]
    assert len(re.findall(r"^  \S", tries, re.MULTILINE)) == 5 and "grpcurl" in tries
    assert (tmp_path / "cluster/endpoints").read_text() == "198.18.1.1:7400,198.18.1.2:7400,198.18.2.3:7400\n"


def test_down_leaves_nothing(tmp_path):
    output = in_a_world(
        tmp_path,
        TRACES
        + """
        before=$(traces)
        "$cluster" up >/dev/null
        "$cluster" down
        diff <(echo "$before") <(traces)
        "$cluster" down
        "$cluster" status
        """,
    )
    assert set(states(output).values()) == {"running"}, output  # "not running"
    assert (tmp_path / "cluster/n1/wal").is_dir()


def test_down_after_everything_was_killed(tmp_path):
    in_a_world(
        tmp_path,
        TRACES
        + """
        before=$(traces)
        "$cluster" up >/dev/null
        for name in n1 n2 n3 w1 w2 w3 wan; do kill -KILL $("$net" pids $name); done
        "$cluster" down
        diff <(echo "$before") <(traces)
        """,
    )


def test_down_ends_what_is_stopped(tmp_path):
    in_a_world(
        tmp_path,
        TRACES
        + """
        before=$(traces)
        "$cluster" up >/dev/null
        for name in n1 w1; do kill -STOP $("$net" pids $name); done
        "$cluster" down
        diff <(echo "$before") <(traces)
        """,
    )


def test_up_again_starts_only_what_is_not_running(tmp_path):
    first, second = in_a_world(
        tmp_path,
        """
        "$cluster" up
        kill -KILL $("$net" pids n2) $("$net" pids w3) $("$net" pids wan)
        echo ==
        "$cluster" up
        """,
    ).split("==")
    before, after = pids(first), pids(second)
    assert sorted(before) == sorted(after) == NAMES
    assert {name for name in NAMES if before[name] != after[name]} == {"n2", "w3"}
    assert "state=open" in second


def test_up_says_when_a_running_binary_is_old(tmp_path):
    programs = tmp_path / "build"
    programs.mkdir()
    output = in_a_world(
        tmp_path,
        f"""
        export BATON_BUILD="{programs}"
        cp -L "{BUILD}"/{{batond,wanlink}} "{programs}"
        "$cluster" up >/dev/null
        cp "{programs}/batond" "{programs}/new" && mv "{programs}/new" "{programs}/batond"
        "$cluster" restart n3
        "$cluster" up
        """,
    )
    assert re.findall(r"^(n\d) runs a batond older than the build", output, re.MULTILINE) == ["n1", "n2"]


def test_data_survives_and_a_lost_disk_gets_no_vote(tmp_path):
    output = in_a_world(
        tmp_path,
        """
        "$cluster" up >/dev/null
        "$cluster" down
        "$cluster" up >/dev/null
        "$cluster" verify-log
        "$cluster" stop n2
        rm -r "$BATON_CLUSTER/n2"
        "$cluster" restart n2
        for again in restart down; do
            sleep 0.5
            "$cluster" $again $([ $again = down ] || echo n2)
            "$cluster" up
        done
        "$BATON_BUILD/batonctl" --endpoints "$(<"$BATON_CLUSTER/endpoints")" status
        grep -c 'founded the cluster' "$BATON_CLUSTER/n2.log"
        """,
    )
    sums = re.findall(r"^n\d  entries 1 to (\d+)  ([0-9a-f]{64})$", output, re.MULTILINE)
    assert len(sums) == 3 and len(set(sums)) == 1 and int(sums[0][0]) >= 2, output
    assert f"\nEqual: entries 1 to {sums[0][0]} on n1, n2, n3.\n" in output
    assert output.count("The data of n2 is gone") == 1  # from then on it has a log, which says that it waits
    assert output.count("\nn2 belongs to no cluster: ") == 1
    assert output.endswith("\n1\n"), "a node that had lost its data founded the cluster again"


def test_a_founding_that_was_interrupted_goes_on(tmp_path):
    output = in_a_world(
        tmp_path,
        """
        mkdir -p "$BATON_CLUSTER"/{n1,n2,n3}
        "$cluster" up >/dev/null
        "$cluster" down
        rm -r "$BATON_CLUSTER"/n3/wal && touch "$BATON_CLUSTER/n3/founding"
        "$cluster" up
        ls "$BATON_CLUSTER/n3"
        """,
    )
    assert "is gone" not in output
    assert states(output)["n3"] in ("follower", "leader") and output.endswith("LOCK\nsnap\nwal\n")


def test_up_without_the_right_to_make_namespaces(tmp_path):
    """As in a plain container: root by name only."""
    output = in_a_world(
        tmp_path,
        TRACES
        + """
        powerless() { setpriv --bounding-set=-all --inh-caps=-all "$@"; }
        before=$(traces)
        powerless "$cluster" up
        powerless "$cluster" down
        diff <(echo "$before") <(traces)
        """,
    )
    assert "all run on 127.0.0.1, and nothing is delayed" in output
    assert "127.0.0.1:7420" in output and [states(output)[name] for name in NAMES[3:]] == ["online"] * 3


def test_up_tells_at_once_what_has_ended(tmp_path):
    output = in_a_world(
        tmp_path,
        """
        "$cluster" up >/dev/null
        "$cluster" down
        echo '{}' >>"$BATON_CLUSTER/n2/wal/0000000000000001.jsonl"
        begin=$SECONDS
        ! "$cluster" up 2>&1
        echo $((SECONDS - begin)) s
        "$cluster" stop n3
        until "$cluster" status | grep 'n1 .*, knows no leader'; do sleep 0.1; done
        """,
    )
    assert "n2 has ended; " in output and "WAL_CORRUPT" in output
    assert int(re.search(r"^(\d+) s$", output, re.MULTILINE)[1]) < 30


def test_a_cluster_stays_where_it_was_founded(tmp_path):
    output = in_a_world(
        tmp_path,
        """
        "$cluster" up >/dev/null
        "$cluster" down
        ! setpriv --bounding-set=-all --inh-caps=-all "$cluster" up 2>&1
        "$cluster" up
        """,
    )
    assert "was founded at 198.18.1.1:7400," in output and "would be 127.0.0.1:7400," in output
    assert sorted(states(output)) == NAMES


def test_names_and_commands_are_checked():
    for words in (["restart", "n4"], ["stop", "w1", "x"], ["logs", "n"], ["restart"], ["stop"], ["nonsense"], []):
        done = subprocess.run([str(ROOT / "deploy/local/cluster"), *words], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr, words
