// Parsing behind cmd/batond_options.h.
#include "cmd/batond_options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"
#include "base/env.h"
#include "base/ids.h"
#include "base/limits.h"

const char batond_help[] =
    "usage: batond --node-id ID --cluster-id ID --cloud aws|gcp --data-dir DIR [option ...]\n"
    "       batond --check-wal DIR | --dump-wal DIR [--to INDEX]\n"
    "\n"
    "One node of a baton control plane. Every option can also be set in the environment: --node-id as BATON_NODE_ID,\n"
    "and so on; an option on the command line counts more.\n"
    "\n"
    "who this is\n"
    "  --node-id ID              this node: 1 to 64 of [A-Za-z0-9._-]\n"
    "  --cluster-id ID           the cluster it belongs to\n"
    "  --cloud aws|gcp           where it runs\n"
    "  --data-dir DIR            its log; created if missing\n"
    "where it listens\n"
    "  --listen HOST:PORT        gRPC (default 127.0.0.1:7400)\n"
    "  --advertise HOST:PORT     how others reach it (default: as --listen)\n"
    "  --http HOST:PORT          debug pages and metrics (default 127.0.0.1:7480)\n"
    "  --advertise-http HOST:PORT  (default: as --http)\n"
    "founding a cluster\n"
    "  --bootstrap               on an empty data directory: found the cluster with --peers; otherwise of no effect.\n"
    "                            Never on a node whose disk was wiped: it would vote twice (docs/operations.md)\n"
    "  --peers LIST              all members, this one too: n1=HOST:PORT/gcp,n2=HOST:PORT/gcp,n3=HOST:PORT/aws\n"
    "encryption, for both ports\n"
    "  --tls-cert FILE           this node's certificate, of baton://node/ID, and those between it and the authority\n"
    "  --tls-key FILE            its private key\n"
    "  --tls-ca FILE             the authorities whose certificates are believed. The files are read again when they\n"
    "                            change, and on SIGHUP\n"
    "  --tls-required            never start without these\n"
    "  --insecure                speak plaintext beyond this machine, where everybody who gets through may do everything\n"
    "timing\n"
    "  --heartbeat-interval T    (default 150ms, at most 300ms)\n"
    "  --election-timeout T-T    drawn from this range each time (default 300ms-600ms); at least two heartbeats\n"
    "the leader's place\n"
    "  --placement on|off        hand leadership to the node that commits markedly faster (default on)\n"
    "  --leader-cloud aws|gcp    prefer this cloud for the leader; the same on all nodes (default: none)\n"
    "log lines\n"
    "  --log-level LEVEL         debug, info, warn or error (default info)\n"
    "  --log-format FORMAT       logfmt or json (default logfmt)\n"
    "without starting\n"
    "  --check-config            check all options and exit\n"
    "  --check-wal DIR           verify the log in a data directory; exits 3 with file, line and reason if it is damaged\n"
    "  --dump-wal DIR            print its entries, up to --to INDEX: the same bytes on every node\n"
    "  --help, --version\n"
    "\n"
    "exit status: 0 ended in order, 2 bad option or foreign data directory, 3 log damaged, 4 disk failed,\n"
    "             5 no memory, 6 cannot listen, 7 the log holds a command of a later version\n";

enum option_id {
    OPT_NODE_ID,
    OPT_CLUSTER_ID,
    OPT_CLOUD,
    OPT_DATA_DIR,
    OPT_LISTEN,
    OPT_ADVERTISE,
    OPT_HTTP,
    OPT_ADVERTISE_HTTP,
    OPT_PEERS,
    OPT_BOOTSTRAP,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_TLS_CA,
    OPT_TLS_REQUIRED,
    OPT_INSECURE,
    OPT_HEARTBEAT,
    OPT_ELECTION,
    OPT_PLACEMENT,
    OPT_LEADER_CLOUD,
    OPT_LOG_LEVEL,
    OPT_LOG_FORMAT,
    OPT_CONFIGURATION_COUNT,  // those above can be set in the environment

    OPT_CHECK_CONFIG = OPT_CONFIGURATION_COUNT,
    OPT_CHECK_WAL,
    OPT_DUMP_WAL,
    OPT_TO,
    OPT_HELP,
    OPT_VERSION,
    OPT_COUNT,
};

// Beyond any character, so that getopt's own results are told apart.
enum { OPT_BASE = 1000 };

#define LONG_OPTION(name, argument, id)                                                                                     \
    { (name), (argument), NULL, OPT_BASE + (id) }

static const struct option long_options[] = {
    LONG_OPTION("node-id", required_argument, OPT_NODE_ID),
    LONG_OPTION("cluster-id", required_argument, OPT_CLUSTER_ID),
    LONG_OPTION("cloud", required_argument, OPT_CLOUD),
    LONG_OPTION("data-dir", required_argument, OPT_DATA_DIR),
    LONG_OPTION("listen", required_argument, OPT_LISTEN),
    LONG_OPTION("advertise", required_argument, OPT_ADVERTISE),
    LONG_OPTION("http", required_argument, OPT_HTTP),
    LONG_OPTION("advertise-http", required_argument, OPT_ADVERTISE_HTTP),
    LONG_OPTION("peers", required_argument, OPT_PEERS),
    LONG_OPTION("bootstrap", no_argument, OPT_BOOTSTRAP),
    LONG_OPTION("tls-cert", required_argument, OPT_TLS_CERT),
    LONG_OPTION("tls-key", required_argument, OPT_TLS_KEY),
    LONG_OPTION("tls-ca", required_argument, OPT_TLS_CA),
    LONG_OPTION("tls-required", no_argument, OPT_TLS_REQUIRED),
    LONG_OPTION("insecure", no_argument, OPT_INSECURE),
    LONG_OPTION("heartbeat-interval", required_argument, OPT_HEARTBEAT),
    LONG_OPTION("election-timeout", required_argument, OPT_ELECTION),
    LONG_OPTION("placement", required_argument, OPT_PLACEMENT),
    LONG_OPTION("leader-cloud", required_argument, OPT_LEADER_CLOUD),
    LONG_OPTION("log-level", required_argument, OPT_LOG_LEVEL),
    LONG_OPTION("log-format", required_argument, OPT_LOG_FORMAT),
    LONG_OPTION("check-config", no_argument, OPT_CHECK_CONFIG),
    LONG_OPTION("check-wal", required_argument, OPT_CHECK_WAL),
    LONG_OPTION("dump-wal", required_argument, OPT_DUMP_WAL),
    LONG_OPTION("to", required_argument, OPT_TO),
    LONG_OPTION("help", no_argument, OPT_HELP),
    LONG_OPTION("version", no_argument, OPT_VERSION),
    {NULL, 0, NULL, 0},
};

// A setting and where it comes from, for messages.
struct setting {
    const char *value;  // NULL: not set
    char source[64];    // "--node-id" or "BATON_NODE_ID"
};

static void read_environment(struct setting *settings) {
    for (size_t i = 0; i < OPT_CONFIGURATION_COUNT; i++) {
        struct setting *setting = &settings[i];
        snprintf(setting->source, sizeof setting->source, "BATON_%s", long_options[i].name);
        for (char *c = setting->source; *c != '\0'; c++) {
            *c = *c == '-' ? '_' : (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
        }
        setting->value = env_get(setting->source);
        if (setting->value == NULL) {
            snprintf(setting->source, sizeof setting->source, "--%s", long_options[i].name);
        }
    }
}

static enum error_code read_flags(int argc, char **argv, struct setting *settings, struct error *error) {
    opterr = 0;
    optind = 0;  // from the beginning, and not on in a word of several short options where a call before has ended
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int found = getopt_long(argc, argv, ":", long_options, NULL);
        if (found == -1) {
            break;
        }
        const char *word = argv[optind > at ? optind - 1 : at];  // it stays at a word of several short options
        if (found == ':') {
            return error_set(error, ERR_INVALID, "%s needs a value; see batond --help", word);
        }
        if (found < OPT_BASE && optopt >= OPT_BASE) {
            return error_set(error, ERR_INVALID, "%s: --%s stands alone, without a value", word,
                             long_options[optopt - OPT_BASE].name);
        }
        if (found < OPT_BASE) {
            return error_set(error, ERR_INVALID, "unknown option %s; see batond --help", word);
        }
        struct setting *setting = &settings[found - OPT_BASE];
        snprintf(setting->source, sizeof setting->source, "--%s", long_options[found - OPT_BASE].name);
        setting->value = optarg == NULL ? "true" : optarg;
    }
    if (optind < argc) {
        return error_set(error, ERR_INVALID, "unexpected argument %s; every option begins with --, see batond --help",
                         argv[optind]);
    }
    return OK;
}

// --- single values ---

static enum error_code require(const struct setting *setting, struct error *error) {
    if (setting->value == NULL) {
        return error_set(error, ERR_INVALID, "%s is missing; see batond --help", setting->source);
    }
    return OK;
}

static enum error_code parse_id(const struct setting *setting, struct raft_id *id, struct error *error) {
    enum error_code code = require(setting, error);
    if (code == OK) {
        code = id_check(slice_of_str(setting->value), setting->source, error);
    }
    if (code == OK) {
        *id = raft_id_of(slice_of_str(setting->value));
    }
    return code;
}

static enum error_code parse_address(const struct setting *setting, const char *otherwise, const char **address,
                                     struct error *error) {
    *address = setting->value == NULL ? otherwise : setting->value;
    return address_check(slice_of_str(*address), setting->source, error);
}

static enum error_code parse_flag(const struct setting *setting, bool *on, struct error *error) {
    const char *value = setting->value == NULL ? "false" : setting->value;
    if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0) {
        *on = true;
    } else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0 || value[0] == '\0') {
        *on = false;
    } else {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are true and false", setting->source, value);
    }
    return OK;
}

// "150ms" or "2s" at *text, which is moved behind it.
static bool take_duration(const char **text, uint64_t *us) {
    char *end;
    errno = 0;
    if (**text < '0' || **text > '9') {
        return false;
    }
    unsigned long long number = strtoull(*text, &end, 10);
    uint64_t unit = US_PER_MS;
    if (strncmp(end, "ms", 2) == 0) {
        end += 2;
    } else if (*end == 's') {
        end += 1;
        unit = US_PER_S;
    } else {
        return false;
    }
    if (errno != 0 || number == 0 || number > 3600 * US_PER_S / unit) {
        return false;
    }
    *us = number * unit;
    *text = end;
    return true;
}

static enum error_code parse_timing(const struct setting *settings, struct node_config *config, struct error *error) {
    config->heartbeat_interval_us = HEARTBEAT_INTERVAL_US;
    config->election_timeout_min_us = ELECTION_TIMEOUT_MIN_US;
    config->election_timeout_max_us = ELECTION_TIMEOUT_MAX_US;
    const struct setting *heartbeat = &settings[OPT_HEARTBEAT];
    const char *text = heartbeat->value;
    if (text != NULL && (!take_duration(&text, &config->heartbeat_interval_us) || *text != '\0')) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is a time such as 150ms", heartbeat->source,
                         heartbeat->value);
    }
    const struct setting *election = &settings[OPT_ELECTION];
    text = election->value;
    if (text != NULL && (!take_duration(&text, &config->election_timeout_min_us) || *text++ != '-' ||
                         !take_duration(&text, &config->election_timeout_max_us) || *text != '\0')) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is a range of times such as 300ms-600ms",
                         election->source, election->value);
    }
    if (config->election_timeout_min_us > config->election_timeout_max_us) {
        return error_set(error, ERR_INVALID, "%s: the shorter time comes first", election->source);
    }
    if (config->heartbeat_interval_us * 2 > config->election_timeout_min_us) {
        return error_set(error, ERR_INVALID,
                         "%s: the shortest election timeout must be at least twice the heartbeat interval (%s), or one lost "
                         "heartbeat causes an election",
                         election->source, heartbeat->source);
    }
    if (config->heartbeat_interval_us * 2 > QUORUM_TIMEOUT_US) {
        return error_set(error, ERR_INVALID,
                         "%s is \"%s\"; allowed is at most %" PRIu64
                         "ms: a leader steps down when it has had no answer for %" PRIu64 " ms",
                         heartbeat->source, heartbeat->value, QUORUM_TIMEOUT_US / 2 / US_PER_MS,
                         QUORUM_TIMEOUT_US / US_PER_MS);
    }
    return OK;
}

static enum error_code parse_placement(const struct setting *settings, struct node_config *config, struct error *error) {
    const struct setting *placement = &settings[OPT_PLACEMENT];
    const struct setting *cloud = &settings[OPT_LEADER_CLOUD];
    config->placement = placement->value == NULL || strcmp(placement->value, "on") == 0;
    if (!config->placement && strcmp(placement->value, "off") != 0) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are on and off", placement->source, placement->value);
    }
    if (cloud->value == NULL) {
        return OK;
    }
    enum error_code code = cloud_check(slice_of_str(cloud->value), cloud->source, error);
    if (code == OK) {
        snprintf(config->leader_cloud, sizeof config->leader_cloud, "%s", cloud->value);
    }
    return code;
}

// --- the members ---

// One member, ID=HOST:PORT/CLOUD.
static enum error_code parse_peer(const struct setting *setting, struct slice text, struct wire_member *member,
                                  struct error *error) {
    const uint8_t *equals = memchr(text.data, '=', text.len);
    const uint8_t *slash = memrchr(text.data, '/', text.len);
    if (equals == NULL || slash == NULL || slash < equals) {
        return error_set(error, ERR_INVALID, "%s: \"%.*s\" is not ID=HOST:PORT/CLOUD, such as n1=10.0.0.1:7400/gcp",
                         setting->source, (int)text.len, (const char *)text.data);
    }
    struct slice id = slice_of(text.data, (size_t)(equals - text.data));
    struct slice address = slice_of(equals + 1, (size_t)(slash - equals - 1));
    struct slice cloud = slice_of(slash + 1, text.len - (size_t)(slash + 1 - text.data));
    enum error_code code = id_check(id, "id", error);
    if (code == OK) {
        code = address_check(address, "address", error);
    }
    if (code == OK) {
        code = cloud_check(cloud, "cloud", error);
    }
    if (code != OK) {
        return error_wrap(error, "%s: \"%.*s\"", setting->source, (int)text.len, (const char *)text.data);
    }
    *member = (struct wire_member){.id = raft_id_of(id), .voter = true};
    memcpy(member->address, address.data, address.len);
    memcpy(member->cloud, cloud.data, cloud.len);
    return OK;
}

static int compare_members(const void *a, const void *b) {
    return strcmp(((const struct wire_member *)a)->id.text, ((const struct wire_member *)b)->id.text);
}

static enum error_code check_peers(const struct setting *setting, const struct node_config *config, struct error *error) {
    const struct wire_member *self = NULL;
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct wire_member *member = &config->peers[i];
        if (raft_id_equal(&member->id, &config->node_id)) {
            self = member;
        }
        for (size_t j = 0; j < i; j++) {
            if (raft_id_equal(&member->id, &config->peers[j].id)) {
                return error_set(error, ERR_INVALID, "%s names %s twice", setting->source, member->id.text);
            }
            if (strcmp(member->address, config->peers[j].address) == 0) {
                return error_set(error, ERR_INVALID, "%s gives %s and %s the same address %s", setting->source,
                                 config->peers[j].id.text, member->id.text, member->address);
            }
        }
    }
    if (self == NULL) {
        return error_set(error, ERR_INVALID, "%s does not name this node, %s; it lists all members", setting->source,
                         config->node_id.text);
    }
    if (strcmp(self->address, config->advertise) != 0) {
        return error_set(error, ERR_INVALID, "%s gives this node the address %s, but it advertises %s; make them agree",
                         setting->source, self->address, config->advertise);
    }
    if (strcmp(self->cloud, config->cloud) != 0) {
        return error_set(error, ERR_INVALID, "%s puts this node into %s, but --cloud is %s; make them agree",
                         setting->source, self->cloud, config->cloud);
    }
    return OK;
}

static enum error_code parse_peers(const struct setting *setting, struct node_config *config, struct error *error) {
    if (setting->value == NULL) {
        if (config->bootstrap) {
            return error_set(error, ERR_INVALID, "--bootstrap needs %s, the list of all members", setting->source);
        }
        return OK;
    }
    const char *text = setting->value;
    for (;;) {
        const char *end = strchrnul(text, ',');
        if (config->peer_count == MEMBERS_MAX) {
            return error_set(error, ERR_INVALID, "%s names more than %d members", setting->source, MEMBERS_MAX);
        }
        enum error_code code =
            parse_peer(setting, slice_of(text, (size_t)(end - text)), &config->peers[config->peer_count++], error);
        if (code != OK) {
            return code;
        }
        if (*end == '\0') {
            break;
        }
        text = end + 1;
    }
    qsort(config->peers, config->peer_count, sizeof config->peers[0], compare_members);
    return check_peers(setting, config, error);
}

// --- all of it ---

static enum error_code parse_addresses(const struct setting *settings, struct batond_options *options, struct error *error) {
    struct node_config *config = &options->node;
    enum error_code code = parse_address(&settings[OPT_LISTEN], "127.0.0.1:7400", &config->listen, error);
    if (code == OK) {
        code = parse_address(&settings[OPT_ADVERTISE], config->listen, &config->advertise, error);
    }
    if (code == OK) {
        code = parse_address(&settings[OPT_HTTP], "127.0.0.1:7480", &options->http, error);
    }
    if (code == OK) {
        code = parse_address(&settings[OPT_ADVERTISE_HTTP], options->http, &config->advertise_http, error);
    }
    if (code != OK) {
        return code;
    }
    if (address_is_wildcard(config->advertise)) {
        return error_set(error, ERR_INVALID, "--advertise is missing: nobody can reach %s; give the address that others use",
                         config->advertise);
    }
    if (address_is_wildcard(config->advertise_http)) {
        return error_set(error, ERR_INVALID,
                         "--advertise-http is missing: nobody can reach %s; give the address that others use",
                         config->advertise_http);
    }
    return OK;
}

static enum error_code parse_tls(const struct setting *settings, struct batond_options *options, struct error *error) {
    bool required;
    bool insecure;
    options->tls_files = (struct tls_files){
        .cert = settings[OPT_TLS_CERT].value, .key = settings[OPT_TLS_KEY].value, .ca = settings[OPT_TLS_CA].value};
    enum error_code code = parse_flag(&settings[OPT_TLS_REQUIRED], &required, error);
    if (code == OK) {
        code = parse_flag(&settings[OPT_INSECURE], &insecure, error);
    }
    if (code == OK) {
        code = tls_files_check(&options->tls_files, required, &options->tls, error);
    }
    if (code != OK || options->tls || insecure) {
        return code;
    }
    const char *exposed = !address_is_loopback(options->node.listen) ? options->node.listen
                          : !address_is_loopback(options->http)      ? options->http
                                                                     : NULL;
    if (exposed != NULL) {
        return error_set(
            error, ERR_INVALID,
            "others could reach %s in plaintext, and do everything; give --tls-cert, --tls-key and --tls-ca, or "
            "--insecure",
            exposed);
    }
    return OK;
}

static enum error_code parse_run(const struct setting *settings, struct batond_options *options, struct error *error) {
    struct node_config *config = &options->node;
    enum error_code code = parse_id(&settings[OPT_NODE_ID], &config->node_id, error);
    if (code == OK) {
        code = parse_id(&settings[OPT_CLUSTER_ID], &config->cluster_id, error);
    }
    if (code == OK) {
        code = require(&settings[OPT_CLOUD], error);
    }
    if (code == OK) {
        code = cloud_check(slice_of_str(settings[OPT_CLOUD].value), settings[OPT_CLOUD].source, error);
    }
    if (code == OK) {
        code = require(&settings[OPT_DATA_DIR], error);
    }
    if (code != OK) {
        return code;
    }
    snprintf(config->cloud, sizeof config->cloud, "%s", settings[OPT_CLOUD].value);
    config->data_dir = settings[OPT_DATA_DIR].value;
    if (config->data_dir[0] == '\0') {
        return error_set(error, ERR_INVALID, "%s is empty; give a directory", settings[OPT_DATA_DIR].source);
    }
    code = parse_addresses(settings, options, error);
    if (code == OK) {
        code = parse_tls(settings, options, error);
    }
    if (code == OK) {
        code = parse_flag(&settings[OPT_BOOTSTRAP], &config->bootstrap, error);
    }
    if (code == OK) {
        code = parse_peers(&settings[OPT_PEERS], config, error);
    }
    if (code == OK) {
        code = parse_timing(settings, config, error);
    }
    if (code == OK) {
        code = parse_placement(settings, config, error);
    }
    return code;
}

static enum error_code parse_logging(const struct setting *settings, struct batond_options *options, struct error *error) {
    const struct setting *level = &settings[OPT_LOG_LEVEL];
    const struct setting *format = &settings[OPT_LOG_FORMAT];
    options->log_level = SLOG_INFO;
    options->log_format = SLOG_LOGFMT;
    if (level->value != NULL && !slog_level_parse(level->value, &options->log_level)) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are debug, info, warn and error", level->source,
                         level->value);
    }
    if (format->value != NULL && !slog_format_parse(format->value, &options->log_format)) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are logfmt and json", format->source, format->value);
    }
    return OK;
}

static enum error_code parse_index(const struct setting *setting, raft_index *index, struct error *error) {
    char *end;
    errno = 0;
    if (setting->value == NULL) {
        return OK;
    }
    *index = strtoull(setting->value, &end, 10);
    if (errno != 0 || end == setting->value || *end != '\0' || setting->value[0] == '-' || *index == 0) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is an index from 1 on", setting->source, setting->value);
    }
    return OK;
}

enum error_code batond_options_parse(int argc, char **argv, struct batond_options *options, struct error *error) {
    struct setting settings[OPT_COUNT] = {0};
    *options = (struct batond_options){.action = BATOND_RUN};
    read_environment(settings);
    enum error_code code = read_flags(argc, argv, settings, error);
    if (code == OK) {
        code = parse_logging(settings, options, error);
    }
    if (code != OK) {
        return code;
    }
    if (settings[OPT_HELP].value != NULL) {
        options->action = BATOND_HELP;
        return OK;
    }
    if (settings[OPT_VERSION].value != NULL) {
        options->action = BATOND_VERSION;
        return OK;
    }
    if (settings[OPT_CHECK_WAL].value != NULL || settings[OPT_DUMP_WAL].value != NULL) {
        bool check = settings[OPT_CHECK_WAL].value != NULL;
        options->action = check ? BATOND_CHECK_WAL : BATOND_DUMP_WAL;
        options->wal_dir = settings[check ? OPT_CHECK_WAL : OPT_DUMP_WAL].value;
        return parse_index(&settings[OPT_TO], &options->dump_to, error);
    }
    if (settings[OPT_CHECK_CONFIG].value != NULL) {
        options->action = BATOND_CHECK_CONFIG;
    }
    return parse_run(settings, options, error);
}
