"""The criteria of the release, verbatim, and what each means in C. A criterion's number names its test: test_docker_07_... in
test_acceptance.py; `tests` are others that show the same, closer to the code."""

from __future__ import annotations

from typing import NamedTuple, Tuple


class Criterion(NamedTuple):
    number: int
    words: str
    code: str  # where it is, and how its terms map to C
    tests: Tuple[str, ...] = ()  # file: tests


CRITERIA = [
    Criterion(
        1,
        "`RaftNode` has currentTerm (uint64), votedFor (string), log ([]LogEntry), state (Follower|Candidate|Leader).",
        "`struct raft_node` in src/raft/node.h: `raft_term current_term` (a `uint64_t`), `struct raft_id voted_for` (a string"
        " and its length), `struct raft_log log` (whose `entries` are `struct raft_entry *`), `enum raft_state state`",
    ),
    Criterion(
        2,
        "Log entries persist to a write-ahead log and survive a restart (a test kills and restarts a node).",
        "src/wal/; the format is docs/wal-format.md",
        ("tests/unit/test_log_node.c: TestLogNodeRestart", "tests/cluster/test_log.py: TestClusterKilledAtOnceLosesNothing"),
    ),
    Criterion(
        3,
        "Term is monotonic (unit test).",
        "`raft_node.current_term`, src/raft/election.c; checked after every step by src/raft/invariants.c",
        ("tests/unit/test_raft_election.c: TestTermMonotonic",),
    ),
    Criterion(
        4,
        "State transitions logged at INFO: `<node> transitioned from Follower to Candidate (term 3)`.",
        "`struct raft_transition` of the core's update; src/node/leadership.c logs it",
        ("tests/cluster/harness.py: check_logs, after every test",),
    ),
    Criterion(
        5,
        "`TestLog` passes with append, read, recovery.",
        "src/wal/wal.h: `wal_open`, `wal_submit`, `wal_dump`",
        (
            "tests/unit/test_log.c: TestLogAppend, TestLogRead, TestLogRecovery",
            *(f"tests/unit/test_log_{part}.c: TestLog*" for part in ("recovery", "failures", "lines", "compat", "node")),
        ),
    ),
    Criterion(
        6,
        "On startup a leader within 15 s (by watching logs).",
        "src/raft/election.c",
        ("tests/cluster/test_leader.py: TestClusterElectsALeader",),
    ),
    Criterion(
        7,
        "Leader container stopped (`docker stop`): a new leader within 15 s.",
        "src/raft/election.c; a stopped leader first transfers leadership, src/raft/transfer.c",
        ("tests/cluster/test_leader.py: TestClusterElectsAnotherLeaderAfterAKill, TestClusterLeaderStopsGracefully",),
    ),
    Criterion(
        8,
        "Only one leader at any term (split-brain after a partition).",
        "src/raft/election.c: a vote is durable before it is sent, and a majority is needed",
        ("tests/unit/test_raft_sim.c: TestSim*", "tests/unit/test_raft_election.c: TestVoteOncePerTerm"),
    ),
    Criterion(
        9,
        "Election timeout random in [300 ms, 600 ms].",
        "`ELECTION_TIMEOUT_MIN_US`, `ELECTION_TIMEOUT_MAX_US` in src/base/limits.h; drawn in src/raft/election.c",
        ("tests/unit/test_raft_election.c: TestElectionTimeoutRange",),
    ),
    Criterion(10, "Prometheus counters `raft_elections_total`, `raft_term`.", "src/node/metrics.h, src/base/metrics.h"),
    Criterion(
        11,
        "A test command on all followers within 500 ms.",
        "src/raft/replication.c",
        ("tests/cluster/test_log.py: TestClusterWriteIsOnAllNodesInTime",),
    ),
    Criterion(
        12,
        "Committed only once a majority (2 of 3) acknowledged.",
        "src/raft/commit.c",
        (
            "tests/unit/test_raft_replication.c: TestCommitMajority, TestCommitOwnDisk, TestFigure8",
            "tests/cluster/test_leader.py: TestClusterWithoutAMajorityRefuses",
        ),
    ),
    Criterion(
        13,
        "One follower paused (`docker pause`): the other two still commit.",
        "src/raft/commit.c, src/raft/replication.c",
        ("tests/cluster/test_log.py: TestClusterStoppedFollowerCatchesUp",),
    ),
    Criterion(
        14,
        "All logs match byte for byte on committed entries.",
        "`batond --dump-wal DIR --to N`, src/wal/dump.c",
        ("tests/cluster/test_log.py: TestClusterLogsAreEqual", "tests/unit/test_log.c: TestLogDumpEqual"),
    ),
    Criterion(
        15,
        "Empty AppendEntries is the heartbeat, followers reset their timer.",
        "`AppendEntriesRequest` in proto/baton/v1/raft.proto; src/raft/replication.c sends, src/raft/append.c resets the timer",
        (
            "tests/unit/test_raft_replication.c: TestHeartbeat",
            "tests/unit/test_raft_election.c: TestHeartbeatResetsTimer",
        ),
    ),
    Criterion(
        16,
        "Each Python worker sends RegisterWorker at start with address and cloud tag (aws|gcp).",
        "worker/baton_worker/session.py; src/verbs/register_worker.c",
        (
            "worker/tests/test_session.py: TestWorkerRegistersWithAllItIs",
            "tests/cluster/test_workers.py: TestClusterWorkersRegister",
        ),
    ),
    Criterion(
        17,
        "Heartbeat every 5 s; offline after 3 missed.",
        "`WorkerService.Heartbeat`, src/verbs/heartbeat.c; the rule is src/policy/liveness.h",
        ("worker/tests/test_session.py: TestWorkerHeartbeatsDoNotDrift", "tests/unit/test_policy_liveness.c: TestWorkerLiveness*"),
    ),
    Criterion(
        18,
        "`GET /cluster-state` on the leader returns a JSON list of all workers with status and last-seen.",
        "src/http/pages.c; last-seen is `last_seen`, RFC 3339 in UTC",
        ("tests/unit/test_http_workers.c: TestHttpClusterState",),
    ),
    Criterion(
        19,
        "A worker container stopped: offline within 20 s (also `docker kill` and `docker pause`).",
        "src/node/worker_liveness.c; after `docker stop` a worker deregisters (`DeregisterWorker`)",
        ("tests/cluster/test_workers.py: TestClusterKilledWorkerIsOfflineInTime, TestClusterWorkerSaysGoodbye",),
    ),
    Criterion(
        20,
        "A restarted worker registers again by itself.",
        "worker/baton_worker/session.py",
        ("worker/tests/test_cli.py: TestWorkerKilledComesBackAsANewInstance",),
    ),
    Criterion(
        21,
        "Election and replication work across the 50 ms link.",
        "`wanlink`, src/wanlink/, between the networks gcp and aws: 25 ms each way",
        ("tests/link/test_wanlink.py: test_wanlink_round_trip", "tests/cluster/: every test has the link"),
    ),
    Criterion(
        22,
        "The three metrics, `raft_replication_latency_ms` moving with each write.",
        "src/node/metrics.h: `raft_elections_total`, `raft_term`, `raft_replication_latency_ms`",
    ),
    Criterion(23, "Baseline latency recorded (section 3).", "`make baseline` writes docs/baseline.md", ("bench/baseline",)),
    Criterion(
        24,
        "Network cut of the leader (`docker network disconnect`): the minority acknowledges nothing.",
        "CheckQuorum, src/raft/check_quorum.c",
        ("tests/unit/test_raft_election.c: TestCheckQuorum*",),
    ),
    Criterion(
        25,
        "Network cut of the leader (by wanlink for n3): the minority acknowledges nothing.",
        "as 24",
        ("tests/cluster/test_leader.py: TestClusterTermOutlivesACut",),
    ),
    Criterion(
        26,
        "Rolling restart of all nodes under 200 writes/s: no acknowledged write lost, none applied twice.",
        "sessions, src/state/session.c",
        ("tests/unit/test_state.c: TestStateSession*", "tests/cluster/test_store.py: TestClusterSessionAppliesOnce"),
    ),
    Criterion(
        27,
        "All containers killed and started: everything there.",
        "src/wal/recovery.c",
        ("tests/cluster/test_log.py: TestClusterKilledAtOnceLosesNothing",),
    ),
]

# The criteria's terms, which are Go's, and what they are here.
TERMS = [
    ("`RaftNode`", "`struct raft_node`, src/raft/node.h"),
    ("`currentTerm` (uint64)", "`raft_term current_term`; `raft_term` is `uint64_t`"),
    ("`votedFor` (string)", "`struct raft_id voted_for`: at most 64 characters; length 0 is no vote"),
    ("`log` ([]LogEntry)", "`struct raft_log log`; an entry is a `struct raft_entry` (index, term, type, command)"),
    ("`state` (Follower\\|Candidate\\|Leader)", "`enum raft_state`: `RAFT_FOLLOWER`, `RAFT_CANDIDATE`, `RAFT_LEADER`"),
    ("`TestLog` (`go test -run TestLog`)", "`make test RUN=TestLog`: every cmocka test whose name begins with TestLog"),
]
