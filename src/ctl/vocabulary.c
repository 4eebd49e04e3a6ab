// batonctl's words: ctl/vocabulary.h.
#include "ctl/vocabulary.h"

const struct manual_command ctl_commands[CTL_COMMAND_COUNT] = {
    [CTL_STATUS] = {.name = "status",
                    .arguments = "",
                    .takes = TAKES_WATCH,
                    .summary = "every node: role, term, log position",
                    .details = "Asks all endpoints, and all members that they name.",
                    .examples = "batonctl status\n"
                                "batonctl status --watch\n"
                                "batonctl status -o json"},
    [CTL_WORKER_LIST] = {.name = "worker list",
                         .arguments = "",
                         .takes = TAKES_WATCH,
                         .summary = "the registered workers",
                         .examples = "batonctl worker list --watch\n"
                                     "batonctl worker list -o json"},
    [CTL_WORKER_SHOW] = {.name = "worker show",
                         .arguments = "ID",
                         .summary = "all about one worker",
                         .details = "Exits with 4 if none is registered under this id.",
                         .examples = "batonctl worker show etl-7\n"
                                     "batonctl worker show etl-7 -o json"},
    [CTL_MEMBER_LIST] = {.name = "member list",
                         .arguments = "",
                         .summary = "the members, as the leader sees them",
                         .examples = "batonctl member list"},
    [CTL_MEMBER_ADD] =
        {.name = "member add",
         .arguments = "ID=ADDRESS/CLOUD",
         .takes = TAKES_DRY_RUN,
         .summary = "take a new node in, as a learner",
         .details = "It gets the log, but neither votes nor counts until it is promoted. Prints what the new node is\n"
                    "started with. An id that was removed once is never used again.",
         .examples = "batonctl member add n4=10.0.0.4:7400/gcp"},
    [CTL_MEMBER_PROMOTE] = {.name = "member promote",
                            .arguments = "ID",
                            .takes = TAKES_DRY_RUN,
                            .summary = "make a learner a voter",
                            .details = "Refused until it has caught up.",
                            .examples = "batonctl member promote n4"},
    [CTL_MEMBER_REMOVE] = {.name = "member remove",
                           .arguments = "ID",
                           .takes = TAKES_DRY_RUN,
                           .summary = "remove a member for ever",
                           .details = "The node hears of it and stops. A leader hands leadership over first.",
                           .examples = "batonctl member remove n2 --dry-run\n"
                                       "batonctl member remove n2"},
    [CTL_MEMBER_UPDATE] = {.name = "member update",
                           .arguments = "ID=ADDRESS",
                           .takes = TAKES_DRY_RUN,
                           .summary = "change a member's address",
                           .examples = "batonctl member update n2=10.0.0.7:7400"},
    [CTL_MEMBER_REPLACE] =
        {.name = "member replace",
         .arguments = "OLD NEW=ADDRESS/CLOUD",
         .takes = TAKES_DRY_RUN,
         .summary = "put a new node in a member's place",
         .details = "Adds the new node as a learner, waits until it has caught up, promotes it, and removes the old\n"
                    "one, which may be dead. Stop it at any point: the same command goes on from there. It waits as long\n"
                    "as the new node takes, or with --timeout so long. --dry-run lists the steps that are left.",
         .examples = "batonctl member replace n2 n4=10.0.0.4:7400/gcp --dry-run\n"
                     "batonctl member replace n2 n4=10.0.0.4:7400/gcp"},
    [CTL_ACCESS_LIST] = {.name = "access list",
                         .arguments = "[SUBJECT]",
                         .summary = "who is granted what",
                         .details = "Of one SUBJECT, operator/NAME or program/NAME, or of all. A prefix - is of all keys.",
                         .examples = "batonctl access list\n"
                                     "batonctl access list program/billing -o json"},
    [CTL_ACCESS_GRANT] =
        {.name = "access grant",
         .arguments = "SUBJECT VERBS PREFIX",
         .summary = "let a program or an operator do something",
         .details =
             "SUBJECT is program/NAME or operator/NAME, as in a certificate. VERBS are of get, put, delete, list,\n"
             "watch, workers and admin, separated by commas; PREFIX is what keys must begin with, \"\" for all of them,\n"
             "and for workers and admin. A program may do only what it is granted; an operator everything until\n"
             "granted something, then only that.",
         .examples = "batonctl access grant program/billing get,watch prices/\n"
                     "batonctl access grant program/scheduler workers ''\n"
                     "batonctl access grant operator/ops1 put,delete jobs/"},
    [CTL_ACCESS_REVOKE] = {.name = "access revoke",
                           .arguments = "SUBJECT VERBS PREFIX",
                           .summary = "take back what was granted for exactly that prefix",
                           .details =
                               "VERBS as with access grant, or all. Watches that it permitted end. An operator whose last\n"
                               "grant is taken back may do everything again. Exits with 4 if there was nothing of it.",
                           .examples = "batonctl access revoke program/billing watch prices/\n"
                                       "batonctl access revoke operator/ops1 all jobs/"},
    [CTL_LEADER_TRANSFER] =
        {.name = "leader transfer",
         .arguments = "[NODE]",
         .summary = "hand leadership to a node",
         .details = "Without NODE: to the voter with the most up-to-date log. Pauses placement on all nodes for\n"
                    "10 minutes, so that leadership stays there.",
         .examples = "batonctl leader transfer n2"},
    [CTL_PUT] = {.name = "put",
                 .arguments = "KEY VALUE",
                 .takes = TAKES_EXPECT,
                 .summary = "write a key",
                 .details =
                     "Prints the new revision. VALUE - reads the value from standard input. --expect REVISION writes only\n"
                     "if the key's revision is this one; 0: only if there is no such key.",
                 .examples = "batonctl put greeting hello\n"
                             "batonctl put config - < config.json\n"
                             "batonctl put lock mine --expect 0\n"
                             "batonctl put -- key -5"},
    [CTL_GET] =
        {.name = "get",
         .arguments = "KEY",
         .takes = TAKES_STALE | TAKES_FOLLOWER,
         .summary = "read a key",
         .details = "Prints only the value (and a newline on a terminal). --stale reads any node's own state, also without\n"
                    "a leader. --from follower reads from a node that does not lead, --from follower/aws from one in that\n"
                    "cloud; it is as new as a read from the leader, which confirms it.",
         .examples = "batonctl get greeting\n"
                     "batonctl get greeting --from follower/aws\n"
                     "batonctl get greeting -o json"},
    [CTL_DELETE] = {.name = "delete",
                    .alias = "del",
                    .arguments = "KEY",
                    .takes = TAKES_EXPECT,
                    .summary = "delete a key",
                    .examples = "batonctl delete greeting\n"
                                "batonctl delete lock --expect 42"},
    [CTL_LIST] = {.name = "list",
                  .alias = "ls",
                  .arguments = "[PREFIX]",
                  .takes = TAKES_STALE | TAKES_FOLLOWER | TAKES_LIMIT,
                  .summary = "the keys, in order",
                  .details = "--stale and --from follower[/CLOUD] as with get.",
                  .examples = "batonctl list jobs/\n"
                              "batonctl ls --limit 20"},
    [CTL_WATCH] = {.name = "watch",
                   .arguments = "[PREFIX]",
                   .takes = TAKES_FROM,
                   .summary = "changes as they happen, until interrupted",
                   .details = "From now on, or from a revision that is still stored. If the connection is lost, resumes on\n"
                              "another node without missing or repeating a change. With -o json, one object per line.",
                   .examples = "batonctl watch jobs/\n"
                               "batonctl watch --from 120"},
    [CTL_LOG] = {.name = "log",
                 .arguments = "",
                 .takes = TAKES_FROM | TAKES_TO | TAKES_FILE,
                 .summary = "the committed log",
                 .details =
                     "With -o json, one object per line, with the command in base64. --file FILE lists the entries that\n"
                     "batond --rejoin has kept in FILE, without a cluster; exits with 3 and names file and line if it is\n"
                     "damaged, after the entries before that line.",
                 .examples = "batonctl log\n"
                             "batonctl log --from 100 --to 120\n"
                             "batonctl log --file n1/divergent-g1-101-120.log"},
    [CTL_EXPLAIN] = {.name = "explain",
                     .arguments = "",
                     .summary = "why there was an election, a worker was lost, a write was slow",
                     .details = "The latest of each, from the journals that all nodes keep in memory.",
                     .examples = "batonctl explain"},
    [CTL_EXPLAIN_ELECTION] =
        {.name = "explain election",
         .arguments = "[TERM]",
         .summary = "why a leader went, and how the next one won",
         .details = "The latest election, or that of TERM, with the records of all nodes that it is drawn from. Exits with\n"
                    "4 if no journal reaches back to it.",
         .examples = "batonctl explain election\n"
                     "batonctl explain election 7 -o json"},
    [CTL_EXPLAIN_WORKER] = {.name = "explain worker",
                            .arguments = "ID",
                            .summary = "why a worker is offline, or was",
                            .details = "Says what the leader had heard of it, and which others were lost with it.",
                            .examples = "batonctl explain worker etl-7"},
    [CTL_EXPLAIN_WRITES] = {.name = "explain writes",
                            .arguments = "",
                            .summary = "why writes took long",
                            .details =
                                "Each second in which writes took 250 ms or more from the leader's log to a majority, with\n"
                                "what all nodes know of that time: disks, connections, elections, snapshots.",
                            .examples = "batonctl explain writes"},
    [CTL_EXPLAIN_ALL] = {.name = "explain all",
                         .arguments = "",
                         .summary = "the journals of all nodes, merged by term and time",
                         .examples = "batonctl explain all\n"
                                     "batonctl explain all -o json"},
    [CTL_DEBUG] =
        {.name = "debug",
         .arguments = "FILE",
         .takes = TAKES_FORCE,
         .summary = "gather what is known of all nodes into a tar file",
         .details = "For who is to find out what was wrong: status, journals and what explain says of them, and of each\n"
                    "node its metrics, its flags and the last lines of its log. No keys, values or certificates, but names\n"
                    "and addresses. Nodes that do not answer are listed in it.",
         .examples = "batonctl debug baton-$(date +%F).tar"},
    [CTL_BENCH] =
        {.name = "bench",
         .arguments = "[SECONDS]",
         .summary = "check how long writes and reads take, without a load",
         .details =
             "For 10 seconds, or as many as are given up to 600, one call at a time, at most 50 writes a second of 256\n"
             "bytes to keys of its own, which it deletes. Compares them with what the leader says that a commit takes;\n"
             "exits with 1 if they take much longer. What a cluster can take at most, baton-bench measures.",
         .examples = "batonctl bench\n"
                     "batonctl bench 60 -o json"},
    [CTL_SNAPSHOT] =
        {.name = "snapshot",
         .arguments = "",
         .takes = TAKES_NODE,
         .summary = "take a snapshot of each node now",
         .details = "Nodes take snapshots by themselves, each its own; this is for before maintenance. Asks all nodes, or\n"
                    "the one given, and waits until their snapshots are durable: without --timeout, up to 10 minutes.\n"
                    "Exits with 1 unless all of them have one.",
         .examples = "batonctl snapshot\n"
                     "batonctl snapshot --from n2 -o json"},
    [CTL_BACKUP] =
        {.name = "backup",
         .arguments = "FILE",
         .takes = TAKES_NODE | TAKES_FORCE,
         .summary = "write the state of the cluster to a file",
         .details =
             "From any node, or from the one given: consistent at the index that is printed. FILE appears only when it\n"
             "is whole, verified and durable. batond --restore begins a new cluster with it.",
         .examples = "batonctl backup /backups/baton-$(date +%F)\n"
                     "batonctl backup nightly --from n2 --force"},
    [CTL_BACKUP_CHECK] =
        {.name = "backup check",
         .arguments = "FILE",
         .summary = "verify a backup, without a cluster",
         .details = "Reads all of it, makes the state of it, and says what is inside. Exits with 3 and names file and\n"
                    "line if it is damaged.",
         .examples = "batonctl backup check nightly"},
    [CTL_COMPLETION] = {.name = "completion",
                        .arguments = "bash|zsh|fish",
                        .summary = "what a shell sources to complete batonctl's words",
                        .details = "Packages install it. Without one, put the line for your shell into its startup file.",
                        .examples = "source <(batonctl completion bash)\n"
                                    "source <(batonctl completion zsh)\n"
                                    "batonctl completion fish | source"},
};

const struct manual_option ctl_options_known[CTL_OPTION_COUNT] = {
    [CTL_OPTION_ENDPOINTS] = {.name = "endpoints",
                              .argument = "LIST",
                              .help = "HOST:PORT,... of some or all nodes",
                              .variable = "BATON_ENDPOINTS",
                              .initial = "build/cluster/endpoints, else 127.0.0.1:7400"},
    [CTL_OPTION_TLS_CERT] = {.name = "tls-cert",
                             .argument = "FILE",
                             .help = "use TLS: our certificate",
                             .variable = "BATON_TLS_CERT"},
    [CTL_OPTION_TLS_KEY] = {.name = "tls-key", .argument = "FILE", .help = "its private key", .variable = "BATON_TLS_KEY"},
    [CTL_OPTION_TLS_CA] = {.name = "tls-ca",
                           .argument = "FILE",
                           .help = "the trusted certificate authorities",
                           .variable = "BATON_TLS_CA"},
    [CTL_OPTION_TLS_REQUIRED] = {.name = "tls-required", .help = "never use plaintext", .variable = "BATON_TLS_REQUIRED"},
    [CTL_OPTION_OUTPUT] = {.name = "output",
                           .letter = 'o',
                           .argument = "table|json|fields=NAME,...",
                           .help = "how to print; with json, errors too are objects; fields: these members of\n"
                                   "what json prints, as lines with tabs between, for scripts",
                           .initial = "table"},
    [CTL_OPTION_TIMEOUT] = {.name = "timeout",
                            .argument = "TIME",
                            .help = "how long to keep trying, such as 500ms",
                            .initial = "5s"},
    [CTL_OPTION_STALE] = {.name = "stale", .help = "get, list: read any node's own state", .of = TAKES_STALE},
    [CTL_OPTION_LIMIT] = {.name = "limit", .argument = "N", .help = "list: at most so many keys", .of = TAKES_LIMIT},
    [CTL_OPTION_WATCH] = {.name = "watch",
                          .help = "status, worker list: again every two seconds, until interrupted",
                          .of = TAKES_WATCH},
    [CTL_OPTION_DRY_RUN] = {.name = "dry-run", .help = "changes of members: only say what would be so", .of = TAKES_DRY_RUN},
    [CTL_OPTION_EXPECT] = {.name = "expect",
                           .argument = "REVISION",
                           .help = "put, delete: only if the key's revision is this one",
                           .of = TAKES_EXPECT},
    [CTL_OPTION_FROM] = {.name = "from",
                         .argument = "WHERE",
                         .help = "log: the first index; watch: the first revision; get, list: follower,\n"
                                 "or follower/CLOUD, reads as new as the leader; snapshot, backup: the node",
                         .of = TAKES_FROM | TAKES_FOLLOWER | TAKES_NODE},
    [CTL_OPTION_TO] = {.name = "to", .argument = "N", .help = "log: the last index", .of = TAKES_TO},
    [CTL_OPTION_FILE] = {.name = "file",
                         .argument = "FILE",
                         .help = "log: the entries that batond --rejoin has kept there",
                         .of = TAKES_FILE},
    [CTL_OPTION_FORCE] = {.name = "force", .help = "backup: replace the file", .of = TAKES_FORCE},
    [CTL_OPTION_HELP] = {.name = "help", .letter = 'h', .help = "print this; after a command, its own help"},
    [CTL_OPTION_VERSION] = {.name = "version", .help = "print the version"},
};

const struct manual ctl_manual = {
    .program = "batonctl",
    .section = '1',
    .purpose = "operate a baton control plane",
    .synopsis = "COMMAND [argument ...] [option ...]\ncompletion bash|zsh|fish",
    .description = "batonctl reads and writes keys, shows nodes, members and workers, changes members, and takes snapshots "
                   "and backups. "
                   "It asks any node of a cluster and follows its leader.\n"
                   "A write is retried until its outcome is known; it is applied at most once.",
    .commands = ctl_commands,
    .command_count = CTL_COMMAND_COUNT,
    .options = ctl_options_known,
    .option_count = CTL_OPTION_COUNT,
    .exits = "0 ok\n"
             "1 failed\n"
             "2 wrong usage\n"
             "3 no node reachable (backup check, log --file: damaged)\n"
             "4 not found\n"
             "5 outcome unknown",
    .see_also = "batond(8), baton-bench(1)",
};
