// batond's flags, a row each, and the rules between them.
#include "cmd/batond_options.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/array.h"
#include "base/ids.h"
#include "base/limits.h"
#include "cmd/flags.h"

// What the rows fill.
struct command_line {
    struct batond_options options;
    bool tls_required;
    bool insecure;
    bool check_config;
    bool help;
    bool version;
    const char *check_wal;
    const char *dump_wal;
};

// --- kinds of values ---

static enum error_code parse_id(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    enum error_code code = id_check(slice_of_str(setting->text), setting->source, error);
    if (code == OK) {
        *(struct raft_id *)field = raft_id_of(slice_of_str(setting->text));
    }
    return code;
}

enum { CLOUD_SIZE = sizeof((struct node_config){0}.cloud) };
static_assert(sizeof((struct node_config){0}.leader_cloud) == CLOUD_SIZE, "parse_cloud fills both");

static enum error_code parse_cloud(const struct flag *flag, const struct setting *setting, void *field,
                                   struct error *error) {
    (void)flag;
    enum error_code code = cloud_check(slice_of_str(setting->text), setting->source, error);
    if (code == OK) {
        snprintf(field, CLOUD_SIZE, "%s", setting->text);
    }
    return code;
}

static enum error_code parse_data_dir(const struct flag *flag, const struct setting *setting, void *field,
                                      struct error *error) {
    if (setting->text[0] == '\0') {
        return error_set(error, ERR_INVALID, "%s is empty; give a directory", setting->source);
    }
    return flag_text(flag, setting, field, error);
}

static enum error_code parse_on_off(const struct flag *flag, const struct setting *setting, void *field,
                                    struct error *error) {
    (void)flag;
    bool on = strcmp(setting->text, "on") == 0;
    if (!on && strcmp(setting->text, "off") != 0) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are on and off", setting->source, setting->text);
    }
    *(bool *)field = on;
    return OK;
}

static enum error_code parse_election_timeout(const struct flag *flag, const struct setting *setting, void *field,
                                              struct error *error) {
    (void)flag;
    struct node_config *config = field;
    const char *text = setting->text;
    if (!duration_take(&text, &config->election_timeout_min_us) || *text++ != '-' ||
        !duration_take(&text, &config->election_timeout_max_us) || *text != '\0') {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is a range of times such as 300ms-600ms",
                         setting->source, setting->text);
    }
    if (config->election_timeout_min_us > config->election_timeout_max_us) {
        return error_set(error, ERR_INVALID, "%s: the shorter time comes first", setting->source);
    }
    return OK;
}

static enum error_code parse_log_level(const struct flag *flag, const struct setting *setting, void *field,
                                       struct error *error) {
    (void)flag;
    if (!slog_level_parse(setting->text, field)) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are debug, info, warn and error", setting->source,
                         setting->text);
    }
    return OK;
}

static enum error_code parse_log_format(const struct flag *flag, const struct setting *setting, void *field,
                                        struct error *error) {
    (void)flag;
    if (!slog_format_parse(setting->text, field)) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are logfmt and json", setting->source, setting->text);
    }
    return OK;
}

static enum error_code parse_index(const struct flag *flag, const struct setting *setting, void *field,
                                   struct error *error) {
    (void)flag;
    raft_index *index = field;
    char *end;
    errno = 0;
    *index = strtoull(setting->text, &end, 10);
    if (errno != 0 || end == setting->text || *end != '\0' || setting->text[0] == '-' || *index == 0) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is an index from 1 on", setting->source, setting->text);
    }
    return OK;
}

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

static enum error_code parse_peers(const struct flag *flag, const struct setting *setting, void *field,
                                   struct error *error) {
    (void)flag;
    struct node_config *config = field;
    for (const char *text = setting->text;;) {
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
    return OK;
}

// --- the flags ---

// When a flag is parsed: for every action; to choose the action; for the log's commands; to run a node or check its flags.
enum group { ALWAYS, ACTION, WAL, NODE };

#define IN(member) offsetof(struct command_line, member)

static const struct flag rows[] = {
    {.help = "identity"},
    {.name = "node-id",
     .argument = "ID",
     .required = true,
     .group = NODE,
     .parse = parse_id,
     .offset = IN(options.node.node_id),
     .help = "this node: 1 to 64 of [A-Za-z0-9._-]"},
    {.name = "cluster-id",
     .argument = "ID",
     .required = true,
     .group = NODE,
     .parse = parse_id,
     .offset = IN(options.node.cluster_id),
     .help = "the cluster it belongs to"},
    {.name = "cloud",
     .argument = "aws|gcp",
     .required = true,
     .group = NODE,
     .parse = parse_cloud,
     .offset = IN(options.node.cloud),
     .help = "where it runs"},
    {.name = "data-dir",
     .argument = "DIR",
     .required = true,
     .group = NODE,
     .parse = parse_data_dir,
     .offset = IN(options.node.data_dir),
     .help = "its log; created if missing"},

    {.help = "addresses"},
    {.name = "listen",
     .argument = "HOST:PORT",
     .initial = "127.0.0.1:7400",
     .group = NODE,
     .parse = flag_address,
     .offset = IN(options.node.listen),
     .help = "gRPC"},
    {.name = "advertise",
     .argument = "HOST:PORT",
     .same_as = "listen",
     .group = NODE,
     .parse = flag_address,
     .offset = IN(options.node.advertise),
     .help = "where others reach it"},
    {.name = "http",
     .argument = "HOST:PORT",
     .initial = "127.0.0.1:7480",
     .group = NODE,
     .parse = flag_address,
     .offset = IN(options.http),
     .help = "debug pages and metrics"},
    {.name = "advertise-http",
     .argument = "HOST:PORT",
     .same_as = "http",
     .group = NODE,
     .parse = flag_address,
     .offset = IN(options.node.advertise_http),
     .help = "where others reach those"},

    {.help = "bootstrapping a cluster"},
    {.name = "bootstrap",
     .group = NODE,
     .parse = flag_boolean,
     .offset = IN(options.node.bootstrap),
     .help = "if the data directory is empty, start a new cluster of --peers; otherwise ignored.\n"
             "Never for a node that has lost its disk: it could vote twice (docs/operations.md)"},
    {.name = "peers",
     .argument = "LIST",
     .group = NODE,
     .parse = parse_peers,
     .offset = IN(options.node),
     .help = "all members, this node included: n1=HOST:PORT/gcp,n2=HOST:PORT/gcp,n3=HOST:PORT/aws"},

    {.help = "TLS, on both ports"},
    {.name = "tls-cert",
     .argument = "FILE",
     .group = NODE,
     .parse = flag_text,
     .offset = IN(options.tls_files.cert),
     .help = "this node's certificate, for baton://node/ID, followed by any intermediate certificates"},
    {.name = "tls-key",
     .argument = "FILE",
     .group = NODE,
     .parse = flag_text,
     .offset = IN(options.tls_files.key),
     .help = "its private key"},
    {.name = "tls-ca",
     .argument = "FILE",
     .group = NODE,
     .parse = flag_text,
     .offset = IN(options.tls_files.ca),
     .help = "the trusted certificate authorities. The three files are read again when they change,\n"
             "and on SIGHUP"},
    {.name = "tls-required",
     .group = NODE,
     .parse = flag_boolean,
     .offset = IN(tls_required),
     .help = "refuse to start without these"},
    {.name = "insecure",
     .group = NODE,
     .parse = flag_boolean,
     .offset = IN(insecure),
     .help = "allow plaintext beyond this machine, where anyone who can connect may do anything"},

    {.help = "timing"},
    {.name = "heartbeat-interval",
     .argument = "T",
     .initial = "150ms",
     .group = NODE,
     .parse = flag_duration,
     .offset = IN(options.node.heartbeat_interval_us),
     .help = "at most 300ms"},
    {.name = "election-timeout",
     .argument = "T-T",
     .initial = "300ms-600ms",
     .group = NODE,
     .parse = parse_election_timeout,
     .offset = IN(options.node),
     .help = "drawn at random from this range each time; at least two heartbeats"},

    {.help = "leader placement"},
    {.name = "placement",
     .argument = "on|off",
     .initial = "on",
     .group = NODE,
     .parse = parse_on_off,
     .offset = IN(options.node.placement),
     .help = "transfer leadership to the node that commits markedly faster"},
    {.name = "leader-cloud",
     .argument = "aws|gcp",
     .group = NODE,
     .parse = parse_cloud,
     .offset = IN(options.node.leader_cloud),
     .help = "prefer a leader in this cloud; give all nodes the same"},

    {.help = "logging"},
    {.name = "log-level",
     .argument = "LEVEL",
     .initial = "info",
     .group = ALWAYS,
     .parse = parse_log_level,
     .offset = IN(options.log_level),
     .help = "debug, info, warn or error"},
    {.name = "log-format",
     .argument = "FORMAT",
     .initial = "logfmt",
     .group = ALWAYS,
     .parse = parse_log_format,
     .offset = IN(options.log_format),
     .help = "logfmt or json"},

    {.help = "instead of starting, on the command line only"},
    {.name = "check-config",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(check_config),
     .help = "check all options and exit"},
    {.name = "check-wal",
     .argument = "DIR",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_text,
     .offset = IN(check_wal),
     .help = "verify the log in a data directory; exits with 3 and names file, line and reason if it is damaged"},
    {.name = "dump-wal",
     .argument = "DIR",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_text,
     .offset = IN(dump_wal),
     .help = "print its entries: the same bytes on every node"},
    {.name = "to",
     .argument = "INDEX",
     .command_line_only = true,
     .group = WAL,
     .parse = parse_index,
     .offset = IN(options.dump_to),
     .help = "the last entry that --dump-wal prints"},
    {.name = "help",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(help),
     .help = "print this"},
    {.name = "version",
     .command_line_only = true,
     .group = ACTION,
     .parse = flag_boolean,
     .offset = IN(version),
     .help = "print the version"},
};

static_assert(ARRAY_COUNT(rows) <= FLAGS_MAX, "flags_read has room for them");

static const struct flag_table table = {
    .program = "batond", .environment_prefix = "BATON_", .rows = rows, .count = ARRAY_COUNT(rows)};

void batond_help(FILE *out) {
    fputs(
        "usage: batond --node-id ID --cluster-id ID --cloud aws|gcp --data-dir DIR [option ...]\n"
        "       batond --check-wal DIR | --dump-wal DIR [--to INDEX]\n"
        "\n"
        "Runs a node of a baton control plane. Options can also be set in the environment: --node-id as BATON_NODE_ID, and\n"
        "so on. The command line takes precedence.\n"
        "\n",
        out);
    flags_print(&table, out);
    fputs("\n"
          "exit status: 0 stopped in order, 2 bad option or another node's data directory, 3 log damaged, 4 disk failed,\n"
          "             5 out of memory, 6 cannot listen, 7 the log holds a command of a later version\n",
          out);
}

// --- rules between flags ---

static enum error_code check_peers(const struct setting *setting, const struct node_config *config, struct error *error) {
    if (setting->text == NULL) {
        return !config->bootstrap
                   ? OK
                   : error_set(error, ERR_INVALID, "--bootstrap needs %s, the list of all members", setting->source);
    }
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

static enum error_code check_addresses(const struct node_config *config, struct error *error) {
    if (address_is_wildcard(config->advertise)) {
        return error_set(error, ERR_INVALID,
                         "--advertise is missing: other nodes cannot reach %s; give the address that they use",
                         config->advertise);
    }
    if (address_is_wildcard(config->advertise_http)) {
        return error_set(error, ERR_INVALID,
                         "--advertise-http is missing: other nodes cannot reach %s; give the address that they use",
                         config->advertise_http);
    }
    return OK;
}

static enum error_code check_tls(struct command_line *line, struct error *error) {
    struct batond_options *options = &line->options;
    enum error_code code = tls_files_check(&options->tls_files, line->tls_required, &options->tls, error);
    if (code != OK || options->tls || line->insecure) {
        return code;
    }
    const char *exposed = !address_is_loopback(options->node.listen) ? options->node.listen
                          : !address_is_loopback(options->http)      ? options->http
                                                                     : NULL;
    if (exposed != NULL) {
        return error_set(
            error, ERR_INVALID,
            "other machines could reach %s in plaintext and do anything; give --tls-cert, --tls-key and --tls-ca, or "
            "--insecure",
            exposed);
    }
    return OK;
}

static enum error_code check_timing(const struct setting *heartbeat, const struct setting *election,
                                    const struct node_config *config, struct error *error) {
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
                         heartbeat->source, heartbeat->text, QUORUM_TIMEOUT_US / 2 / US_PER_MS,
                         QUORUM_TIMEOUT_US / US_PER_MS);
    }
    return OK;
}

static enum error_code parse_node(const struct setting *settings, struct command_line *line, struct error *error) {
    const struct node_config *config = &line->options.node;
    enum error_code code = flags_parse(&table, settings, NODE, line, error);
    if (code == OK) {
        code = check_addresses(config, error);
    }
    if (code == OK) {
        code = check_tls(line, error);
    }
    if (code == OK) {
        code = check_peers(flags_setting(&table, settings, "peers"), config, error);
    }
    if (code == OK) {
        code = check_timing(flags_setting(&table, settings, "heartbeat-interval"),
                            flags_setting(&table, settings, "election-timeout"), config, error);
    }
    return code;
}

// --- all of it ---

static enum batond_action action_of(const struct command_line *line) {
    return line->help                ? BATOND_HELP
           : line->version           ? BATOND_VERSION
           : line->check_wal != NULL ? BATOND_CHECK_WAL
           : line->dump_wal != NULL  ? BATOND_DUMP_WAL
           : line->check_config      ? BATOND_CHECK_CONFIG
                                     : BATOND_RUN;
}

static enum error_code parse_action(const struct setting *settings, struct command_line *line, struct error *error) {
    struct batond_options *options = &line->options;
    options->action = action_of(line);
    switch (options->action) {
    case BATOND_HELP:
    case BATOND_VERSION:
        return OK;
    case BATOND_CHECK_WAL:
    case BATOND_DUMP_WAL:
        options->wal_dir = options->action == BATOND_CHECK_WAL ? line->check_wal : line->dump_wal;
        return flags_parse(&table, settings, WAL, line, error);
    case BATOND_CHECK_CONFIG:
    case BATOND_RUN:
        break;
    }
    return parse_node(settings, line, error);
}

enum error_code batond_options_parse(int argc, char **argv, struct batond_options *options, struct error *error) {
    struct setting settings[ARRAY_COUNT(rows)];
    struct command_line line = {.help = false};
    enum error_code code = flags_read(&table, argc, argv, settings, error);
    if (code == OK) {
        code = flags_parse(&table, settings, ALWAYS, &line, error);
    }
    if (code == OK) {
        code = flags_parse(&table, settings, ACTION, &line, error);
    }
    if (code == OK) {
        code = parse_action(settings, &line, error);
    }
    *options = line.options;
    return code;
}
