// Fuzzes what people write: command lines of batond and batonctl, batond's environment, lists of endpoints, addresses and
// the texts that become times, sizes and numbers. What is accepted keeps what its documentation promises.
//
// The first byte chooses; the rest is words, each ended by a NUL.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/cmd/batond_options.h"
#include "../../src/cmd/flags.h"
#include "base/address.h"
#include "base/array.h"
#include "base/ids.h"
#include "base/mem.h"
#include "ctl/completion.h"
#include "ctl/endpoints.h"
#include "ctl/options.h"
#include "fuzz.h"

enum { WORDS_MAX = 40, VARIABLES_MAX = 8 };

struct words {
    char *text;  // all of them
    char *list[WORDS_MAX + 1];
    int count;
};

static struct words split(struct slice input, const char *program) {
    struct words words = {.text = mem_alloc(input.len + 1), .list = {(char *)(uintptr_t)program}, .count = 1};
    if (input.len > 0) {
        memcpy(words.text, input.data, input.len);
    }
    words.text[input.len] = '\0';
    for (size_t at = 0; at < input.len && words.count < WORDS_MAX; at += strlen(words.text + at) + 1) {
        words.list[words.count++] = words.text + at;
    }
    return words;
}

static void assert_text(const char *text, size_t most) {
    assert(text != NULL && strlen(text) <= most);
}

static void assert_refused(const struct error *error) {
    assert(error->message[0] != '\0' && strlen(error->message) < ERROR_MESSAGE_MAX);
}

// --- batond ---

static void assert_node(const struct node_config *node) {
    struct error error;
    assert(id_check(raft_id_slice(&node->node_id), "", &error) == OK);
    assert(id_check(raft_id_slice(&node->cluster_id), "", &error) == OK);
    assert(cloud_check(slice_of_str(node->cloud), "", &error) == OK && node->data_dir[0] != '\0');
    assert(address_check(slice_of_str(node->advertise), "", &error) == OK && !address_is_wildcard(node->advertise));
    assert(node->heartbeat_interval_us > 0 && node->heartbeat_interval_us * 2 <= node->election_timeout_min_us);
    assert(node->election_timeout_min_us <= node->election_timeout_max_us);
    assert(node->election_timeout_max_us <= 3600 * US_PER_S);
    assert(node->snapshot_log_bytes >= 64 * KIB && node->snapshot_rate >= 64 * KIB && node->peer_count <= MEMBERS_MAX);
    bool self = node->peer_count == 0;
    for (size_t i = 0; i < node->peer_count; i++) {
        const struct wire_member *peer = &node->peers[i];
        assert(i == 0 || strcmp(node->peers[i - 1].id.text, peer->id.text) < 0);
        assert(address_check(slice_of_str(peer->address), "", &error) == OK);
        assert(cloud_check(slice_of_str(peer->cloud), "", &error) == OK);
        self = self || raft_id_equal(&peer->id, &node->node_id);
    }
    assert(self);
}

static void parse_batond(struct words *words) {
    struct batond_options options;
    struct error error = {.code = OK};
    if (batond_options_parse(words->count, words->list, &options, &error) != OK) {
        assert(error.code == ERR_INVALID);
        assert_refused(&error);
    } else if (options.action == BATOND_RUN || options.action == BATOND_CHECK_CONFIG) {
        assert_node(&options.node);
    }
    batond_options_free(&options);
}

// The flags of a node that may run, then those of the input.
static void parse_batond_more(struct slice input) {
    static char *const good[] = {"batond",
                                 "--node-id=n1",
                                 "--cluster-id=demo",
                                 "--cloud=gcp",
                                 "--data-dir=d",
                                 "--insecure",
                                 "--peers=n1=127.0.0.1:7400/gcp"};
    struct words words = split(input, "");
    struct words all = {.count = 0};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        all.list[all.count++] = good[i];
    }
    for (int i = 1; i < words.count && all.count < WORDS_MAX; i++) {
        all.list[all.count++] = words.list[i];
    }
    parse_batond(&all);
    free(words.text);
}

// Pairs of a variable, by a letter, and its value.
static void parse_environment(struct slice input) {
    static const char *const names[] = {
        "NODE_ID",       "CLUSTER_ID",   "CLOUD",     "DATA_DIR",           "LISTEN",      "ADVERTISE",
        "HTTP",          "PEERS",        "TLS_CERT",  "HEARTBEAT_INTERVAL", "LEASE_READS", "ELECTION_TIMEOUT",
        "SNAPSHOT_RATE", "LEADER_CLOUD", "LOG_LEVEL", "LOG_FORMAT",         "INSECURE",    "BOOTSTRAP",
        "PLACEMENT",     "TLS_REQUIRED",
    };
    struct words words = split(input, "batond");
    char variables[WORDS_MAX][SOURCE_SIZE];
    for (int i = 1; i < words.count; i++) {
        snprintf(variables[i], SOURCE_SIZE, "BATON_%s", names[(uint8_t)words.list[i][0] % ARRAY_COUNT(names)]);
        setenv(variables[i], words.list[i][0] == '\0' ? "" : words.list[i] + 1, 1);
    }
    struct words none = {.list = {"batond"}, .count = 1};
    parse_batond(&none);
    for (int i = 1; i < words.count; i++) {
        unsetenv(variables[i]);
    }
    free(words.text);
}

// A configuration file, which may set all that a node needs.
static void parse_config(struct slice input) {
    int fd = memfd_create("config", MFD_CLOEXEC);
    assert(fd >= 0 && write(fd, input.data, input.len) == (ssize_t)input.len);
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct words words = {.list = {"batond", "--config", path}, .count = 3};
    parse_batond(&words);
    close(fd);
}

// --- batonctl ---

// Whole lines, each of the beginning that was asked for, or left to the shell.
static void complete_batonctl(struct words *words) {
    struct buf out = {.len = 0};
    completion_candidates(words->list + 1, words->count - 1, &out);
    const char *last = words->list[words->count - 1];
    for (size_t at = 0; at < out.len;) {
        const char *line = (const char *)out.data + at;
        const char *end = memchr(line, '\n', out.len - at);
        assert(end != NULL);
        if (*line != ':' && words->count > 1) {
            assert(memchr(line, '\t', (size_t)(end - line)) != NULL && strncmp(line, last, strlen(last)) == 0);
        }
        at += (size_t)(end - line) + 1;
    }
    buf_free(&out);
}

static void parse_batonctl(struct words *words) {
    struct ctl_options options;
    struct error error = {.code = OK};
    if (ctl_options_parse(words->count, words->list, &options, &error) != OK) {
        assert(error.code == ERR_INVALID);
        assert_refused(&error);
        return;
    }
    assert(options.command <= CTL_NO_COMMAND && (options.to == 0 || options.from <= options.to));
    assert(options.help || options.version || options.command < CTL_NO_COMMAND);
    if (options.command < CTL_NO_COMMAND) {
        (void)ctl_is_offline(&options);
    }
}

static void parse_endpoints(struct words *words) {
    struct ctl_endpoints endpoints;
    struct error error = {.code = OK};
    const char *flag = words->count > 1 ? words->list[1] : NULL;
    const char *environment = words->count > 2 ? words->list[2] : NULL;
    if (ctl_endpoints_find(flag, environment, "", &endpoints, &error) != OK) {
        assert_refused(&error);
        return;
    }
    assert(endpoints.count > 0 && endpoints.count <= CTL_ENDPOINTS_MAX && endpoints.source != NULL);
    for (size_t i = 0; i < endpoints.count; i++) {
        assert_text(endpoints.addresses[i], ADDRESS_MAX);
        assert(address_check(slice_of_str(endpoints.addresses[i]), "", &error) == OK);
    }
}

// --- values ---

// Canonical: joined again it is the same text.
static void parse_address(struct slice text, enum address_port port) {
    struct address address;
    struct error error = {.code = OK};
    char joined[HOST_MAX + 16];
    if (address_parse(text, "it", port, &address, &error) != OK) {
        assert(strncmp(error.message, "it", 2) == 0);
        return;
    }
    bool brackets = text.data[0] == '[';
    snprintf(joined, sizeof joined, "%s%s%s%s%s", brackets ? "[" : "", address.host, brackets ? "]" : "",
             address.port[0] == '\0' ? "" : ":", address.port);
    assert(slice_equal(text, slice_of_str(joined)));
    union socket_address literal;
    if (address_literal(&address, &literal)) {
        assert(literal.any.sa_family == AF_INET || literal.any.sa_family == AF_INET6);
    }
    if (port == ADDRESS_PORT_CONNECT) {
        assert(address.port_number > 0);
        assert(!address_is_loopback(joined) || !address_is_wildcard(joined));
    }
}

static void parse_values(const char *text) {
    struct setting setting = {.text = text, .source = "--it"};
    struct flag number = {.least = 3, .most = UINT64_C(1) << 40};
    struct error error = {.code = OK};
    uint64_t value = 0;
    bool on;
    if (flag_number(&number, &setting, &value, &error) == OK) {
        char again[24];
        snprintf(again, sizeof again, "%" PRIu64, value);
        assert(strcmp(again, text + strspn(text, "0")) == 0 && value >= number.least && value <= number.most);
    }
    if (flag_bytes(&number, &setting, &value, &error) == OK) {
        assert(value >= number.least && value <= number.most);
    }
    if (flag_duration(&number, &setting, &value, &error) == OK) {
        assert(value > 0 && value <= 3600 * US_PER_S && value % US_PER_MS == 0);
    }
    (void)flag_boolean(&number, &setting, &on, &error);
    (void)flag_on_off(&number, &setting, &on, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_of(data, size);
    uint8_t choice = take_byte(&input) % 10;
    struct words words = split(input, "baton");
    switch (choice) {
    case 0:
        parse_batond(&words);
        break;
    case 1:
        parse_batond_more(input);
        break;
    case 2:
        parse_environment(input);
        break;
    case 3:
    case 4:
        parse_batonctl(&words);
        break;
    case 5:
        parse_endpoints(&words);
        break;
    case 6:
        parse_address(input, (enum address_port)(input.len % 3));
        break;
    case 8:
        parse_config(input);
        break;
    case 9:
        complete_batonctl(&words);
        break;
    default:
        parse_values(words.text);
        break;
    }
    free(words.text);
    return 0;
}
