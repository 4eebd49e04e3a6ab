// Every limit of the system, each with its reason. A queue or a loop over outside data is bounded by one of these.
#ifndef BATON_BASE_LIMITS_H
#define BATON_BASE_LIMITS_H

#include <assert.h>
#include <stdint.h>

#ifdef NDEBUG
#error "assertions stay compiled in: build without NDEBUG"
#endif

enum {
    KIB = 1024,
    MIB = 1024 * KIB,

    ID_MAX = 64,              // bytes of a node, worker, client or cluster id: fits a log line, a label, a path
    INCARNATION_DIGITS = 32,  // of a data directory: 128 random bits in hexadecimal, which no two directories share
    ADDRESS_MAX = 255,        // bytes of HOST:PORT; a DNS name has at most 253
    CLOUD_MAX = 16,           // bytes of a node's cloud tag: fits a column of a table
    MEMBERS_MAX = 9,          // beyond nine voters a majority costs more than it protects
    // How far the terms of a new generation are from those of the one before, whose other side may go on electing leaders:
    // no entry of one has the index and term of another entry of the other (paper figure 3, Log Matching), so that logs of
    // two generations can be compared.
    GENERATION_TERMS = 1 << 20,
    DIGESTS_TOLD_MAX = 16,         // of a state in a Status, the newest: what nodes lag by, and images
    QUARANTINE_MESSAGE_MAX = 320,  // bytes of why a node serves nobody: two digests, and what to do
    REMOVED_MAX = 256,             // ids of members that were removed, which are never used again
    LABELS_MAX = 32,               // labels of one worker
    LABEL_MAX = 256,               // bytes of a label's key or value
    PREFIX_MAX = 512,              // bytes of a List or Watch prefix, like a key

    LOG_VALUE_MAX = 2 * KIB,     // bytes of one value in a log line: untrusted values must not flood the log
    LOG_KEPT_BYTES = 256 * KIB,  // of the last lines, in memory for a report
    LOG_PER_SECOND = 10,         // lines of one kind: nor must their number

    KEY_MAX = 512,               // bytes of a key
    COMMAND_MAX = 1 * MIB,       // bytes of one log entry's command: one slow entry must not stall those after it
    MESSAGE_MAX = 4 * MIB,       // bytes of one gRPC message, gRPC's own default
    HEADER_LIST_MAX = 16 * KIB,  // bytes of a request's header list
    STREAMS_MAX = 1000,          // concurrent calls of one connection
    STREAMING_MAX = 900,         // of these, streaming ones: watches must leave room for unary calls
    CONNECTIONS_MAX = 4096,      // open connections of one node,
    CONNECTIONS_SHARE = 2,       // but not more than one in so many of the files it may open
    CALLS_MAX = 65536,           // running calls of one node's server: 1 KiB each before their messages
    WATCHES_MAX = 10000,         // open Watch streams of one node
    WATCH_QUIET_MAX = 5000,      // entries after which a Watch without changes is told where it is: half of a log's tail
    SERVICE_NAME_MAX = 256,      // bytes of a service's name in a health check

    RPC_STREAM_QUEUE_MAX = 1 * MIB,       // answers of one call that its client has not taken: rpc_send refuses more
    RPC_CONNECTION_QUEUE_MAX = 16 * MIB,  // of one connection's streams; twice what fills the link to the other cloud
    RPC_CONNECTION_HELD_MAX = 64 * MIB,   // calls, requests coming in and answers not taken, of one connection: what may
                                          // wait for its commit, once over
    RPC_HELD_MAX = 256 * MIB,             // of all connections; then the one that holds most is closed
    RPC_HELD_SHARE = RPC_HELD_MAX / CONNECTIONS_MAX,  // all of it that a connection gets beyond that, within a turn
    RPC_CHANNEL_CALLS_MAX = 100000,                   // calls of one channel that have no result yet
    RPC_FRAMES_QUEUED_MAX = 10000,  // frames (not DATA) for a peer that does not read: ten a call that it may have
    RPC_RESETS_BURST = 10000,       // cancellations of one connection: as many as a busy client's timeouts at once,
    RPC_RESETS_PER_SECOND = 1000,   // not as many as an attack needs
    RPC_CONTROL_BURST = 10000,      // and the same for PING, SETTINGS and empty DATA
    RPC_CONTROL_PER_SECOND = 1000,
    RPC_TLS_UNSENT_MAX =
        1 * MIB,            // encrypted for a peer that does not read: one write of ours, and its own questions' answers
    RPC_CALLS_KEPT = 1024,  // objects of ended calls kept for the next, up to 10 KiB each

    APPEND_BATCH_MAX = 256 * KIB,      // bytes of entries in one AppendEntries (one larger entry goes alone)
    APPEND_COPY_MAX = 16 * KIB,        // bytes of entries worth sending twice
    INFLIGHT_MESSAGES_MAX = 256,       // AppendEntries in flight to one peer
    INFLIGHT_BYTES_MAX = 8 * MIB,      // and their bytes: 50 ms at 160 MB/s
    UNCOMMITTED_BYTES_MAX = 64 * MIB,  // further proposals get RESOURCE_EXHAUSTED
    READS_MAX = 65536,                 // reads that wait for a quorum; further ones would have timed out anyway
    WAL_BATCH_MAX = 8 * MIB,           // one write and one sync
    WAL_SEGMENT_BYTES = 64 * MIB,      // what recovery reads again at a time
    WAL_RESERVE_BYTES = 64 * KIB,      // reserved for term and vote when the disk is full
    WAL_LINE_MAX = 2 * MIB,            // a 1 MiB command in base64 and its frame
    WAL_FILL_AHEAD = 4 * MIB,          // newlines written ahead of the log's writer when it is idle, half of it when busy
    WAL_FILL_CHUNK = 1 * MIB,          // of these at a time: a batch waits no longer than for one chunk

    WORKERS_MAX = 100000,           // registered workers
    SESSIONS_MAX = 10000,           // clients whose results are stored for deduplication; evicted in log order
    SESSION_RESULTS_MAX = 1024,     // unacknowledged results of one client
    SESSIONS_BYTES_MAX = 64 * MIB,  // of all sessions, from level 2 on: ten times what clients with one write at a time need
    RETAINED_ENTRIES = 10000,       // of the log in memory behind an image: a follower that was restarted catches up from it
    HISTORY_IMAGE = 10000,          // entries before an image's that a Watch can go back to after a restart
    GRANTS_MAX = 1024,              // who may do what: beyond, programs belong under common prefixes
    GRANTS_SUBJECT_MAX = 64,        // of one subject: all of them are looked at for each of its calls
    BACKUPS_MAX = 2,                // streamed by a node at a time: each needs one of libuv's four threads for a while
    ANSWERS_MAX = 65536,            // long answers that wait to be made; beyond, clients have long given up
    PAUSED_WRITES_MAX = 65536,      // that wait for the end of a handover
    READ_LOG_BYTES_MAX = 1 * MIB,   // of commands and their summaries in one ReadLog answer
    LIST_DEFAULT = 1000,            // items of a List without a limit
    LIST_BYTES_MAX = 2 * MIB,
    LIST_VERSIONS_MAX = 16,              // of the state, kept for the further pages of lists; they share most of it
    LIST_VERSION_BYTES_MAX = 128 * MIB,  // written since one was taken: then it is given up, since it may hold as much
    LIST_VERSION_ENTRY_BYTES = 512,      // what an overwrite of a small value makes a version hold

    TLS_FILE_MAX = 1 * MIB,  // of certificates, or a key: hundreds of authorities

    TIMELINE_PERIOD_MS = 2000,  // between two samples for the dashboard's charts,
    TIMELINE_SAMPLES = 300,     // which show ten minutes

    HTTP_CONNECTIONS_MAX = 128,  // to the debug pages: browsers, Prometheus, the other nodes' relays,
    HTTP_CONNECTIONS_SHARE = 8,  // and at most one in this many of the files the node may open
    HTTP_LIST_SHARE = 10,        // rendering the list of workers takes at most one in this many parts of the loop's time
    HTTP_LIST_CHEAP_MS = 10,     // a list rendered faster is not kept for those who come later: some 10,000 workers
    HTTP_LIST_TURN_MS = 5,       // of rendering it in one turn of the loop
    HTTP_LIST_LARGE = 1 * MIB,   // a relayed list of so many bytes is kept
    HTTP_RELAY_VALID_MS = 1000,  // for so long
    HTTP_LISTS_BYTES_MAX = 128 * MIB,  // of all lists that are being read: three of 100,000 workers
    HTTP_RELAY_BYTES_MAX = 64 * MIB,   // of another node's answer: 100,000 workers with room to spare
    HTTP_RELAY_TIMEOUT_MS = 2000,      // for it to arrive: a dashboard asks again after a second
    HTTP_HEADER_TIMEOUT_MS =
        10 * 1000,  // for a request's headers to arrive, from the start of the connection or the last response
    HTTP_RESPONSE_TIMEOUT_MS = 60000,  // for a response to be read: a client that does not read must not hold the connection
};

// A command in its entry, its message and its line.
static_assert(COMMAND_MAX + 64 * KIB < MESSAGE_MAX, "one entry must fit a message");
static_assert(COMMAND_MAX / 3 * 4 + 64 * KIB < WAL_LINE_MAX, "one entry must fit a line");
static_assert(WAL_LINE_MAX < WAL_BATCH_MAX && WAL_BATCH_MAX < WAL_SEGMENT_BYTES, "one batch must fit a segment");
static_assert(APPEND_BATCH_MAX < MESSAGE_MAX, "one batch must fit a message");
static_assert(RETAINED_ENTRIES <= HISTORY_IMAGE, "a Watch can go back as far as the log does");
static_assert(STREAMING_MAX < STREAMS_MAX, "streaming calls must leave room for unary ones");

// Times, in microseconds of the monotonic clock.
#define US_PER_MS UINT64_C(1000)
#define US_PER_S  UINT64_C(1000000)

#define HEARTBEAT_INTERVAL_US    (150 * US_PER_MS)
#define ELECTION_TIMEOUT_MIN_US  (300 * US_PER_MS)
#define ELECTION_TIMEOUT_MAX_US  (600 * US_PER_MS)
#define QUORUM_TIMEOUT_US        (600 * US_PER_MS)  // CheckQuorum; a longer gap of the loop counts as one
#define DISK_STUCK_US            (600 * US_PER_MS)  // a leader whose write takes longer steps down
#define APPEND_COPY_US           (300 * US_PER_MS)  // AppendEntries unanswered for so long go out on the other connection, too
#define APPEND_RETRY_US          (1 * US_PER_S)     // AppendEntries with neither answer nor failure are given up
#define PRE_VOTE_DEFER_US        (600 * US_PER_MS)  // a voter that still hears a leader defers its PreVote reply for so long
#define LEASE_US                 (300 * US_PER_MS)  // a voter that promises leases votes for no other for so long
#define LEASE_DRIFT_SHARE        10                 // of a lease is not used: two clocks may differ by one part in 11
#define LEAVING_US               (10 * US_PER_S)    // a removed node that has not heard of it is sent to for so long
#define LOST_LEADER_LATE_US      (100 * US_PER_MS)  // messages sent before a leader's connection was lost may arrive so late
#define REQUEST_VOTE_DEADLINE_US (2500 * US_PER_MS)
#define ANSWERS_TURN_US          (10 * US_PER_MS)  // of making long answers in one turn: heartbeats wait no longer
#define WATCHES_TURN_US          (5 * US_PER_MS)   // and of reading old changes for Watches that are behind
#define LIST_VERSION_US          (10 * US_PER_S)   // after the last page that was asked of it a version is given up
#define WORKER_HEARTBEAT_US      (5 * US_PER_S)
#define WORKER_MISSED_MAX        3

static_assert(HEARTBEAT_INTERVAL_US * 2 <= ELECTION_TIMEOUT_MIN_US, "one lost heartbeat must not cause an election");
static_assert(HEARTBEAT_INTERVAL_US * 2 <= QUORUM_TIMEOUT_US, "nor make the leader step down");
static_assert(LEASE_US < PRE_VOTE_DEFER_US, "a pre-vote that a promise defers is granted in the end");

#endif
