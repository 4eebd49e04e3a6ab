// batonctl's command line: commands, options, and messages for wrong ones.
#include "ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"

// Options that only some commands take.
enum {
    TAKES_STALE = 1,
    TAKES_EXPECT = 2,
    TAKES_FROM = 4,
    TAKES_TO = 8,
    TAKES_FOLLOWER = 16,
    TAKES_NODE = 32,
    TAKES_DRY_RUN = 64,
    TAKES_FORCE = 128,
    TAKES_FILE = 256
};

static const struct {
    const char *name;
    const char *arguments;
    int least;
    int most;
    unsigned takes;
    const char *summary;
    const char *details;
} commands[CTL_COMMAND_COUNT] = {
    [CTL_STATUS] = {"status", "", 0, 0, 0, "every node: role, term, log position",
                    "Asks all endpoints, and all members that they name.\n"
                    "\n"
                    "  batonctl status\n"
                    "  batonctl status -o json\n"},
    [CTL_WORKER_LIST] = {"worker list", "", 0, 0, 0, "the registered workers", "  batonctl worker list -o json\n"},
    [CTL_MEMBER_LIST] = {"member list", "", 0, 0, 0, "the members, as the leader sees them", "  batonctl member list\n"},
    [CTL_MEMBER_ADD] = {"member add", "ID=ADDRESS/CLOUD", 1, 1, TAKES_DRY_RUN, "take a new node in, as a learner",
                        "It gets the log, but neither votes nor counts until it is promoted. Prints what the new node is\n"
                        "started with. An id that was removed once is never used again.\n"
                        "\n"
                        "  batonctl member add n4=10.0.0.4:7400/gcp\n"},
    [CTL_MEMBER_PROMOTE] = {"member promote", "ID", 1, 1, TAKES_DRY_RUN, "make a learner a voter",
                            "Refused until it has caught up.\n"
                            "\n"
                            "  batonctl member promote n4\n"},
    [CTL_MEMBER_REMOVE] = {"member remove", "ID", 1, 1, TAKES_DRY_RUN, "remove a member for ever",
                           "The node hears of it and stops. A leader hands leadership over first.\n"
                           "\n"
                           "  batonctl member remove n2 --dry-run\n"
                           "  batonctl member remove n2\n"},
    [CTL_MEMBER_UPDATE] = {"member update", "ID=ADDRESS", 1, 1, TAKES_DRY_RUN, "change a member's address",
                           "  batonctl member update n2=10.0.0.7:7400\n"},
    [CTL_MEMBER_REPLACE] =
        {"member replace", "OLD NEW=ADDRESS/CLOUD", 2, 2, TAKES_DRY_RUN, "put a new node in a member's place",
         "Adds the new node as a learner, waits until it has caught up, promotes it, and removes the old\n"
         "one, which may be dead. Stop it at any point: the same command goes on from there. It waits as long\n"
         "as the new node takes, or with --timeout so long. --dry-run lists the steps that are left.\n"
         "\n"
         "  batonctl member replace n2 n4=10.0.0.4:7400/gcp --dry-run\n"
         "  batonctl member replace n2 n4=10.0.0.4:7400/gcp\n"},
    [CTL_LEADER_TRANSFER] = {"leader transfer", "[NODE]", 0, 1, 0, "hand leadership to a node",
                             "Without NODE: to the voter with the most up-to-date log. Pauses placement on all nodes for\n"
                             "10 minutes, so that leadership stays there.\n"
                             "\n"
                             "  batonctl leader transfer n2\n"},
    [CTL_PUT] = {"put", "KEY VALUE", 2, 2, TAKES_EXPECT, "write a key",
                 "Prints the new revision. VALUE - reads the value from standard input. --expect REVISION writes only\n"
                 "if the key's revision is this one; 0: only if there is no such key.\n"
                 "\n"
                 "  batonctl put greeting hello\n"
                 "  batonctl put config - < config.json\n"
                 "  batonctl put lock mine --expect 0\n"
                 "  batonctl put -- key -5\n"},
    [CTL_GET] = {"get", "KEY", 1, 1, TAKES_STALE | TAKES_FOLLOWER, "read a key",
                 "Prints only the value (and a newline on a terminal). --stale reads any node's own state, also without\n"
                 "a leader. --from follower reads from a node that does not lead, --from follower/aws from one in that\n"
                 "cloud; it is as new as a read from the leader, which confirms it.\n"
                 "\n"
                 "  batonctl get greeting\n"
                 "  batonctl get greeting --from follower/aws\n"
                 "  batonctl get greeting -o json\n"},
    [CTL_DELETE] = {"delete", "KEY", 1, 1, TAKES_EXPECT, "delete a key",
                    "  batonctl delete greeting\n"
                    "  batonctl delete lock --expect 42\n"},
    [CTL_LIST] = {"list", "[PREFIX]", 0, 1, TAKES_STALE | TAKES_FOLLOWER, "the keys, in order",
                  "--stale and --from follower[/CLOUD] as with get.\n"
                  "\n"
                  "  batonctl list jobs/\n"},
    [CTL_WATCH] = {"watch", "[PREFIX]", 0, 1, TAKES_FROM, "changes as they happen, until interrupted",
                   "From now on, or from a revision that is still stored. If the connection is lost, resumes on\n"
                   "another node without missing or repeating a change. With -o json, one object per line.\n"
                   "\n"
                   "  batonctl watch jobs/\n"
                   "  batonctl watch --from 120\n"},
    [CTL_LOG] = {"log", "", 0, 0, TAKES_FROM | TAKES_TO | TAKES_FILE, "the committed log",
                 "With -o json, one object per line, with the command in base64. --file FILE lists the entries that\n"
                 "batond --rejoin has kept in FILE, without a cluster; exits with 3 and names file and line if it is\n"
                 "damaged, after the entries before that line.\n"
                 "\n"
                 "  batonctl log\n"
                 "  batonctl log --from 100 --to 120\n"
                 "  batonctl log --file n1/divergent-g1-101-120.log\n"},
    [CTL_SNAPSHOT] =
        {"snapshot", "", 0, 0, TAKES_NODE, "take a snapshot of each node now",
         "Nodes take snapshots by themselves, each its own; this is for before maintenance. Asks all nodes, or\n"
         "the one given, and waits until their snapshots are durable: without --timeout, up to 10 minutes.\n"
         "Exits with 1 unless all of them have one.\n"
         "\n"
         "  batonctl snapshot\n"
         "  batonctl snapshot --from n2 -o json\n"},
    [CTL_BACKUP] =
        {"backup", "FILE", 1, 1, TAKES_NODE | TAKES_FORCE, "write the state of the cluster to a file",
         "From any node, or from the one given: consistent at the index that is printed. FILE appears only when it\n"
         "is whole, verified and durable. batond --restore begins a new cluster with it.\n"
         "\n"
         "  batonctl backup /backups/baton-$(date +%F)\n"
         "  batonctl backup nightly --from n2 --force\n"},
    [CTL_BACKUP_CHECK] =
        {"backup check", "FILE", 1, 1, 0, "verify a backup, without a cluster",
         "Reads all of it, makes the state of it, and says what is inside. Exits with 3 and names file and\n"
         "line if it is damaged.\n"
         "\n"
         "  batonctl backup check nightly\n"},
};

static const char overview[] =
    "options\n"
    "  --endpoints LIST     HOST:PORT,... of some or all nodes [env: BATON_ENDPOINTS]\n"
    "                       (default: build/cluster/endpoints, else 127.0.0.1:7400)\n"
    "  --tls-cert FILE      use TLS: our certificate [env: BATON_TLS_CERT]\n"
    "  --tls-key FILE       its private key [env: BATON_TLS_KEY]\n"
    "  --tls-ca FILE        the trusted certificate authorities [env: BATON_TLS_CA]\n"
    "  --tls-required       never use plaintext [env: BATON_TLS_REQUIRED]\n"
    "  -o, --output FORMAT  table or json (default table)\n"
    "  --timeout TIME       how long to keep trying, such as 500ms (default 5s)\n"
    "  --stale              get, list: read any node's own state\n"
    "  --dry-run            changes of members: only say what would be so\n"
    "  --expect REVISION    put, delete: only if the key's revision is this one\n"
    "  --from WHERE         log: the first index; watch: the first revision; get, list: follower,\n"
    "                       or follower/CLOUD, reads as new as the leader; snapshot, backup: the node\n"
    "  --file FILE          log: the entries that batond --rejoin has kept there\n"
    "  --force              backup: replace the file\n"
    "  --to N               log: the last index\n"
    "  -h, --help           print this; after a command, its own help\n"
    "  --version            print the version\n"
    "\n"
    "A write is retried until its outcome is known; it is applied at most once.\n"
    "\n"
    "exit status: 0 ok, 1 failed, 2 wrong usage, 3 no node reachable (backup check, log --file: damaged), 4 not found,\n"
    "5 outcome unknown\n";

void ctl_help(enum ctl_command command) {
    if (command != CTL_NO_COMMAND) {
        printf("usage: batonctl %s%s%s [option ...]\n\n%s.\n%s", commands[command].name,
               commands[command].arguments[0] == '\0' ? "" : " ", commands[command].arguments, commands[command].summary,
               commands[command].details);
        return;
    }
    printf("usage: batonctl COMMAND [argument ...] [option ...]\n\ncommands (batonctl COMMAND --help has examples)\n");
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "%s %s", commands[i].name, commands[i].arguments);
        printf("  %-36s %s\n", usage, commands[i].summary);
    }
    printf("\n%s", overview);
}

bool ctl_is_offline(const struct ctl_options *options) {
    return options->command == CTL_BACKUP_CHECK || options->file != NULL;
}

// --- suggestions ---

enum { NAME_MAX_LEN = 32 };

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

// Levenshtein's distance.
static size_t distance(const char *a, const char *b) {
    size_t row[NAME_MAX_LEN + 1];
    size_t len = strlen(b);
    for (size_t j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[len];
}

const char *ctl_nearest(const char *text, const char *const *names, size_t count) {
    if (strlen(text) > NAME_MAX_LEN) {
        return NULL;
    }
    const char *nearest = NULL;
    size_t best = strlen(text) / 2;  // with more than half of it wrong, something else was meant
    best = best < 1 ? 1 : best > 3 ? 3 : best;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(text, names[i]);
        if (d < best || (d == best && nearest == NULL)) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

// --- options ---

enum option_id {
    OPT_ENDPOINTS = 1000,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_TLS_CA,
    OPT_TLS_REQUIRED,
    OPT_TIMEOUT,
    OPT_STALE,
    OPT_DRY_RUN,
    OPT_EXPECT,
    OPT_FILE,
    OPT_FORCE,
    OPT_FROM,
    OPT_TO,
    OPT_HELP,
    OPT_VERSION,
};

static const struct option long_options[] = {
    {"endpoints", required_argument, NULL, OPT_ENDPOINTS},
    {"tls-cert", required_argument, NULL, OPT_TLS_CERT},
    {"tls-key", required_argument, NULL, OPT_TLS_KEY},
    {"tls-ca", required_argument, NULL, OPT_TLS_CA},
    {"tls-required", no_argument, NULL, OPT_TLS_REQUIRED},
    {"output", required_argument, NULL, 'o'},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"stale", no_argument, NULL, OPT_STALE},
    {"dry-run", no_argument, NULL, OPT_DRY_RUN},
    {"expect", required_argument, NULL, OPT_EXPECT},
    {"file", required_argument, NULL, OPT_FILE},
    {"force", no_argument, NULL, OPT_FORCE},
    {"from", required_argument, NULL, OPT_FROM},
    {"to", required_argument, NULL, OPT_TO},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

enum { OPTION_COUNT = ARRAY_COUNT(long_options) - 1 };

static enum error_code parse_number(const char *option, const char *text, uint64_t *number, struct error *error) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is a number", option, text);
    }
    return OK;
}

static enum error_code parse_timeout(const char *text, uint64_t *ms, struct error *error) {
    enum { LONGEST_S = 24 * 3600 };
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    bool digits = text[0] >= '0' && text[0] <= '9' && errno == 0;
    if (digits && strcmp(end, "ms") == 0 && number >= 1 && number <= LONGEST_S * UINT64_C(1000)) {
        *ms = number;
        return OK;
    }
    if (digits && strcmp(end, "s") == 0 && number >= 1 && number <= LONGEST_S) {
        *ms = number * 1000;
        return OK;
    }
    return error_set(error, ERR_INVALID, "--timeout is \"%s\"; allowed is a time from 1ms to %ds, such as 500ms or 5s", text,
                     LONGEST_S);
}

static bool is_follower(const char *text, struct ctl_options *options) {
    static const char word[] = "follower";
    size_t len = sizeof word - 1;
    if (strncmp(text, word, len) != 0 || (text[len] != '\0' && text[len] != '/')) {
        return false;
    }
    options->follower = true;
    options->follower_cloud = text[len] == '/' ? text + len + 1 : NULL;
    return true;
}

// `given` collects the options that only some commands take.
static enum error_code take_option(int option, struct ctl_options *options, unsigned *given, struct error *error) {
    switch (option) {
    case OPT_ENDPOINTS:
        options->endpoints = optarg;
        return OK;
    case OPT_TLS_CERT:
        options->tls_files.cert = optarg;
        return OK;
    case OPT_TLS_KEY:
        options->tls_files.key = optarg;
        return OK;
    case OPT_TLS_CA:
        options->tls_files.ca = optarg;
        return OK;
    case OPT_TLS_REQUIRED:
        options->tls_required = true;
        return OK;
    case 'o':
        options->json = strcmp(optarg, "json") == 0;
        if (!options->json && strcmp(optarg, "table") != 0) {
            return error_set(error, ERR_INVALID, "--output is \"%s\"; allowed are table and json", optarg);
        }
        return OK;
    case OPT_TIMEOUT:
        options->has_timeout = true;
        return parse_timeout(optarg, &options->timeout_ms, error);
    case OPT_STALE:
        options->stale = true;
        *given |= TAKES_STALE;
        return OK;
    case OPT_DRY_RUN:
        options->dry_run = true;
        *given |= TAKES_DRY_RUN;
        return OK;
    case OPT_EXPECT:
        options->has_expect = true;
        *given |= TAKES_EXPECT;
        return parse_number("--expect", optarg, &options->expect, error);
    case OPT_FILE:
        options->file = optarg;
        *given |= TAKES_FILE;
        return OK;
    case OPT_FORCE:
        options->force = true;
        *given |= TAKES_FORCE;
        return OK;
    case OPT_FROM:
        if (is_follower(optarg, options)) {
            *given |= TAKES_FOLLOWER;
            return OK;
        }
        options->has_from = true;
        options->node = optarg;  // unless the command wants a number: see read_from
        return OK;
    case OPT_TO:
        *given |= TAKES_TO;
        return parse_number("--to", optarg, &options->to, error);
    case OPT_HELP:
    case 'h':
        options->help = true;
        return OK;
    default:
        options->version = true;
        return OK;
    }
}

static enum error_code unknown_option(const char *text, struct error *error) {
    const char *names[OPTION_COUNT];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        names[i] = long_options[i].name;
    }
    const char *nearest = strncmp(text, "--", 2) == 0 ? ctl_nearest(text + 2, names, OPTION_COUNT) : NULL;
    if (nearest != NULL) {
        return error_set(error, ERR_INVALID, "unknown option %s; did you mean --%s?", text, nearest);
    }
    return error_set(error, ERR_INVALID,
                     "unknown option %s; see batonctl --help (an argument that begins with - goes after --)", text);
}

static enum error_code read_options(int argc, char **argv, struct ctl_options *options, unsigned *given,
                                    struct error *error) {
    opterr = 0;
    optind = 0;  // makes getopt start afresh
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int option = getopt_long(argc, argv, ":o:h", long_options, NULL);
        if (option == -1) {
            return OK;
        }
        if (option == ':') {
            return error_set(error, ERR_INVALID, "%s needs a value; see batonctl --help", argv[optind - 1]);
        }
        if (option == '?') {
            return unknown_option(optind > at ? argv[optind - 1] : argv[at], error);
        }
        enum error_code code = take_option(option, options, given, error);
        if (code != OK) {
            return code;
        }
    }
}

// --- the command ---

static enum error_code unknown_command(const char *first, const char *second, struct error *error) {
    const char *names[CTL_COMMAND_COUNT];
    char text[NAME_MAX_LEN + 2];
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        names[i] = commands[i].name;
    }
    // The first word of two, such as "worker".
    size_t len = strlen(first);
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        if (strncmp(names[i], first, len) == 0 && names[i][len] == ' ') {
            return error_set(error, ERR_INVALID, "there is no command \"%s%s%s\"; did you mean \"%s\"?", first,
                             second == NULL ? "" : " ", second == NULL ? "" : second, names[i]);
        }
    }
    const char *nearest = NULL;
    if (second != NULL && (size_t)snprintf(text, sizeof text, "%s %s", first, second) < sizeof text) {
        nearest = ctl_nearest(text, names, CTL_COMMAND_COUNT);
    }
    if (nearest == NULL || strchr(nearest, ' ') == NULL) {
        nearest = ctl_nearest(first, names, CTL_COMMAND_COUNT);
    }
    if (nearest != NULL) {
        return error_set(error, ERR_INVALID, "there is no command \"%s\"; did you mean \"%s\"?", first, nearest);
    }
    return error_set(error, ERR_INVALID, "there is no command \"%s\"; see batonctl --help", first);
}

// The number of leading words that are the command's name; 0: they are not.
static int matches(enum ctl_command command, char **words, int count) {
    const char *name = commands[command].name;
    const char *space = strchr(name, ' ');
    if (space == NULL) {
        return count >= 1 && strcmp(words[0], name) == 0 ? 1 : 0;
    }
    size_t len = (size_t)(space - name);
    bool both =
        count >= 2 && strlen(words[0]) == len && memcmp(words[0], name, len) == 0 && strcmp(words[1], space + 1) == 0;
    return both ? 2 : 0;
}

static enum error_code read_command(char **words, int count, struct ctl_options *options, struct error *error) {
    int name_words = 0;
    enum ctl_command command = 0;
    while (command < CTL_COMMAND_COUNT && (name_words = matches(command, words, count)) == 0) {
        command++;
    }
    if (command == CTL_COMMAND_COUNT) {
        return unknown_command(words[0], count > 1 ? words[1] : NULL, error);
    }
    options->command = command;
    if (options->help) {
        return OK;
    }
    int arguments = count - name_words;
    if (arguments < commands[command].least || arguments > commands[command].most) {
        return error_set(error, ERR_INVALID, "%s arguments; usage: batonctl %s %s",
                         arguments < commands[command].least ? "too few" : "too many", commands[command].name,
                         commands[command].arguments);
    }
    for (int i = 0; i < arguments; i++) {
        options->arguments[i] = words[name_words + i];
    }
    return OK;
}

// What --from means depends on the command.
static enum error_code read_from(struct ctl_options *options, unsigned *given, struct error *error) {
    if (!options->has_from || (commands[options->command].takes & TAKES_NODE) != 0) {
        return OK;
    }
    const char *text = options->node;
    options->node = NULL;
    *given |= TAKES_FROM;
    return parse_number("--from", text, &options->from, error);
}

enum error_code ctl_options_parse(int argc, char **argv, struct ctl_options *options, struct error *error) {
    static const char *const optional[] = {"--stale", "--expect",  "--from",  "--to",  "--from follower",
                                           "--from",  "--dry-run", "--force", "--file"};
    *options = (struct ctl_options){.command = CTL_NO_COMMAND, .timeout_ms = CTL_TIMEOUT_DEFAULT_MS};
    unsigned given = 0;
    enum error_code code = read_options(argc, argv, options, &given, error);
    if (code != OK || options->version) {
        return code;
    }
    if (optind == argc) {
        return options->help ? OK : error_set(error, ERR_INVALID, "which command? see batonctl --help");
    }
    code = read_command(argv + optind, argc - optind, options, error);
    if (code == OK && !options->help) {
        code = read_from(options, &given, error);
    }
    if (code != OK || options->help) {
        return code;
    }
    for (size_t i = 0; i < ARRAY_COUNT(optional); i++) {
        if ((given & 1u << i) != 0 && (commands[options->command].takes & 1u << i) == 0) {
            return error_set(error, ERR_INVALID, "%s does not go with %s; see batonctl --help", optional[i],
                             commands[options->command].name);
        }
    }
    if (options->stale && options->follower) {
        return error_set(error, ERR_INVALID, "--stale does not go with --from follower, which reads the newest state");
    }
    if (options->to != 0 && options->from > options->to) {
        return error_set(error, ERR_INVALID, "--from %llu is after --to %llu", (unsigned long long)options->from,
                         (unsigned long long)options->to);
    }
    return OK;
}
