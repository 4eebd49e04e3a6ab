// batond's flags and environment: what is accepted, which setting counts, and that each refusal names its setting.
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cmd/batond_options.h"
#include "unit.h"

enum { ARGS_MAX = 40 };

#define IDENTITY "--node-id", "n1", "--cluster-id", "demo", "--cloud", "gcp", "--data-dir", "d"
#define GOOD     IDENTITY, "--listen", "10.0.0.1:7400", "--http", "10.0.0.1:7480", "--insecure"
#define PEERS    "n2=10.0.0.2:7400/gcp,n3=10.0.0.3:7400/aws,n1=10.0.0.1:7400/gcp"

static enum error_code parse(const char *const *words, struct batond_options *options, struct error *error) {
    char *argv[ARGS_MAX] = {(char *)"batond"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)words[argc - 1];
    }
    enum error_code code = batond_options_parse(argc, argv, options, error);
    if (code == OK) {
        batond_options_free(options);  // what the tests look at points into `words`
    }
    return code;
}

#define PARSE(options, error, ...) parse((const char *const[]){__VA_ARGS__, NULL}, (options), (error))

static void TestBatondOptionsComplete(void **state) {
    (void)state;
    struct batond_options options;
    struct error error = {0};
    assert_int_equal(PARSE(&options, &error, GOOD, "--peers", PEERS, "--bootstrap"), OK);
    assert_int_equal(options.action, BATOND_RUN);
    assert_true(options.node.bootstrap);
    assert_int_equal(options.node.peer_count, 3);
    assert_string_equal(options.node.peers[0].id.text, "n1");
    assert_string_equal(options.node.peers[2].address, "10.0.0.3:7400");
    assert_string_equal(options.node.peers[2].cloud, "aws");
    assert_string_equal(options.node.advertise, "10.0.0.1:7400");
    assert_int_equal(options.node.heartbeat_interval_us, 150000);
    assert_int_equal(options.node.election_timeout_max_us, 600000);
    assert_int_equal(PARSE(&options, &error, GOOD, "--heartbeat-interval", "300ms", "--election-timeout", "2s-3s"), OK);
    assert_int_equal(options.node.heartbeat_interval_us, 300000);
    assert_int_equal(PARSE(&options, &error, GOOD), OK);
    assert_true(options.node.placement);
    assert_string_equal(options.node.leader_cloud, "");
    assert_int_equal(PARSE(&options, &error, GOOD, "--placement", "off", "--leader-cloud", "aws"), OK);
    assert_false(options.node.placement);
    assert_int_equal(options.node.client_connections + options.node.client_watches + options.node.client_calls +
                         options.node.client_bytes,
                     0);
    assert_int_equal(PARSE(&options, &error, GOOD, "--client-connections", "7", "--client-watches", "8", "--client-calls",
                           "9", "--client-bytes", "1MiB"),
                     OK);
    assert_int_equal(options.node.client_connections, 7);
    assert_int_equal(options.node.client_watches, 8);
    assert_int_equal(options.node.client_calls, 9);
    assert_int_equal(options.node.client_bytes, 1 << 20);
    assert_int_equal(PARSE(&options, &error, GOOD, "--client-calls", "0"), ERR_INVALID);
    assert_int_equal(PARSE(&options, &error, GOOD), OK);
    assert_null(options.node.audit_log);
    assert_int_equal(PARSE(&options, &error, GOOD, "--audit-log", "-"), OK);
    assert_string_equal(options.node.audit_log, "-");
    assert_int_equal(PARSE(&options, &error, GOOD), OK);
    assert_false(options.node.shared_worker_certificates);
    assert_int_equal(PARSE(&options, &error, GOOD, "--shared-worker-certificates"), OK);
    assert_true(options.node.shared_worker_certificates);
    assert_false(options.node.lease_reads);
    assert_int_equal(PARSE(&options, &error, GOOD, "--lease-reads"), OK);
    assert_true(options.node.lease_reads);
    assert_int_equal(PARSE(&options, &error, GOOD, "--placement", "off", "--leader-cloud", "aws"), OK);
    assert_string_equal(options.node.leader_cloud, "aws");
}

// A row's default is text; it must be the value that limits.h names.
static void TestBatondOptionsDefaults(void **state) {
    (void)state;
    struct batond_options options;
    struct error error = {0};
    assert_int_equal(PARSE(&options, &error, IDENTITY), OK);
    assert_int_equal(options.node.heartbeat_interval_us, HEARTBEAT_INTERVAL_US);
    assert_int_equal(options.node.election_timeout_min_us, ELECTION_TIMEOUT_MIN_US);
    assert_int_equal(options.node.election_timeout_max_us, ELECTION_TIMEOUT_MAX_US);
    assert_int_equal(options.log_level, SLOG_INFO);
    assert_int_equal(options.log_format, SLOG_LOGFMT);
    assert_string_equal(options.node.listen, "127.0.0.1:7400");
    assert_string_equal(options.node.advertise, "127.0.0.1:7400");
    assert_string_equal(options.http, "127.0.0.1:7480");
    assert_string_equal(options.node.advertise_http, "127.0.0.1:7480");
    assert_false(options.node.bootstrap);
    assert_int_equal(options.node.peer_count, 0);
    assert_int_equal(PARSE(&options, &error, GOOD, "--advertise", "n1:1"), OK);
    assert_string_equal(options.node.advertise, "n1:1");
    assert_string_equal(options.node.advertise_http, "10.0.0.1:7480");
}

static void assert_line(const char *text, const char *line) {
    const char *found = strstr(text, line);
    if (found == NULL || (found > text && found[-1] != '\n') || found[strlen(line)] != '\n') {
        fail_msg("--help lacks the line \"%s\"", line);
    }
}

static void TestBatondOptionsHelp(void **state) {
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    batond_help(out);
    fclose(out);
    assert_line(text, "addresses");
    assert_line(text, "  --listen HOST:PORT        gRPC (default 127.0.0.1:7400)");
    assert_line(text, "  --advertise-http HOST:PORT  where others reach those (default: as --http)");
    assert_line(text, "  --cloud CLOUD             where it runs: 1 to 16 of [a-z0-9-] (required)");
    assert_line(text, "  --tls-key FILE            its private key");
    assert_line(text, "                            and on SIGHUP");
    assert_line(text, "  --tls-required            refuse to start without these");
    free(text);
}

static void TestBatondOptionsTls(void **state) {
    (void)state;
    struct batond_options options;
    struct error error = {0};
    assert_int_equal(PARSE(&options, &error, IDENTITY), OK);
    assert_false(options.tls);
    setenv("BATON_TLS_KEY", "k", 1);
    assert_int_equal(
        PARSE(&options, &error, IDENTITY, "--listen", "10.0.0.1:7400", "--tls-cert", "c", "--tls-ca", "a", "--tls-required"),
        OK);
    assert_true(options.tls);
    assert_string_equal(options.tls_files.cert, "c");
    assert_string_equal(options.tls_files.key, "k");
    assert_string_equal(options.tls_files.ca, "a");
    unsetenv("BATON_TLS_KEY");
}

static void TestBatondOptionsPrecedence(void **state) {
    (void)state;
    struct batond_options options;
    struct error error = {0};
    setenv("BATON_NODE_ID", "from-env", 1);
    setenv("BATON_ELECTION_TIMEOUT", "1s-2s", 1);
    assert_int_equal(PARSE(&options, &error, GOOD), OK);
    assert_string_equal(options.node.node_id.text, "n1");
    assert_int_equal(options.node.election_timeout_max_us, 2000000);
    assert_int_equal(PARSE(&options, &error, "--cluster-id", "demo", "--cloud", "aws", "--data-dir", "d"), OK);
    assert_string_equal(options.node.node_id.text, "from-env");
    assert_string_equal(options.node.listen, "127.0.0.1:7400");
    setenv("BATON_NODE_ID", "no good", 1);
    assert_int_equal(PARSE(&options, &error, "--cluster-id", "demo", "--cloud", "aws", "--data-dir", "d"), ERR_INVALID);
    assert_non_null(strstr(error.message, "BATON_NODE_ID"));
    setenv("BATON_NODE_ID", "n1", 1);
    setenv("BATON_LEADER_CLOUD", "", 1);  // as an EnvironmentFile has it that leaves some open
    setenv("BATON_TLS_CERT", "", 1);
    assert_int_equal(PARSE(&options, &error, "--cluster-id", "demo", "--cloud", "aws", "--data-dir", "d"), OK);
    assert_false(options.tls);
    unsetenv("BATON_TLS_CERT");
    unsetenv("BATON_LEADER_CLOUD");
    unsetenv("BATON_NODE_ID");
    unsetenv("BATON_ELECTION_TIMEOUT");
}

static void refused(const char *name, const char *const *words) {
    struct batond_options options;
    struct error error = {0};
    enum error_code code = parse(words, &options, &error);
    if (code != ERR_INVALID || strstr(error.message, name) == NULL) {
        fail_msg("expected a refusal that names %s, got %s: %s", name, error_name(code), error.message);
    }
}

#define REFUSED(name, ...) refused((name), (const char *const[]){__VA_ARGS__, NULL})

static void TestBatondOptionsRefused(void **state) {
    (void)state;
    REFUSED("--node-id", "--cluster-id", "demo", "--cloud", "gcp", "--data-dir", "d");
    REFUSED("--cluster-id", "--node-id", "n1", "--cloud", "gcp", "--data-dir", "d");
    REFUSED("--cloud", "--node-id", "n1", "--cluster-id", "demo", "--data-dir", "d");
    REFUSED("--data-dir", "--node-id", "n1", "--cluster-id", "demo", "--cloud", "gcp");
    REFUSED("--node-id", GOOD, "--node-id", "");
    REFUSED("--cloud", GOOD, "--cloud", "Azure");
    REFUSED("--listen", GOOD, "--listen", "10.0.0.1:70000");
    REFUSED("--listen", GOOD, "--listen", "10.0.0.1");
    REFUSED("--http", GOOD, "--http", "10.0.0.1:0");
    REFUSED("--advertise", GOOD, "--listen", "0.0.0.0:7400");
    REFUSED("--advertise", GOOD, "--advertise", "000.000.000.000:7400");
    REFUSED("--peers", GOOD, "--peers", "n1=10.0.0.1:7400/gcp,n2=0.0.0.0:7400/gcp,n3=10.0.0.3:7400/aws");
    REFUSED("--peers", GOOD, "--peers", "n1=10.0.0.1:7400/gcp,n2=10.0.0.2:7400/gcp,n3=[::ffff:0.0.0.0]:7400/aws");
    REFUSED("--advertise-http", GOOD, "--http", "[::]:7480");
    REFUSED("--advertise-http", GOOD, "--advertise-http", "[::ffff:0.0.0.0]:7480");
    REFUSED("--peers", GOOD, "--bootstrap");
    REFUSED("--peers", GOOD, "--peers", "n1=10.0.0.1:7400/gcp,n1=10.0.0.2:7400/gcp");
    REFUSED("--peers", GOOD, "--peers", "n1=10.0.0.1:7400/gcp,n2=10.0.0.1:7400/gcp");
    REFUSED("--peers", GOOD, "--peers", "n2=10.0.0.2:7400/gcp");
    REFUSED("--peers", GOOD, "--peers", "n1=10.0.0.9:7400/gcp");
    REFUSED("--peers", GOOD, "--peers", "n1=10.0.0.1:7400/aws");
    REFUSED("--peers", GOOD, "--peers", "n1=10.0.0.1:7400/gcp,");
    REFUSED("--peers", GOOD, "--peers", "n1");
    REFUSED("--peers", GOOD, "--peers",
            "a=h:1/gcp,b=h:2/gcp,c=h:3/gcp,d=h:4/gcp,e=h:5/gcp,f=h:6/gcp,g=h:7/gcp,h=h:8/gcp,i=h:9/gcp,j=h:10/gcp");
    REFUSED("10.0.0.1:7400 in plaintext", IDENTITY, "--listen", "10.0.0.1:7400");
    REFUSED("10.0.0.1:7480 in plaintext", IDENTITY, "--http", "10.0.0.1:7480");
    REFUSED("--tls-key is missing", IDENTITY, "--tls-cert", "c", "--tls-ca", "a");
    REFUSED("--tls-required", GOOD, "--tls-required");
    REFUSED("--tls-crl revokes certificates", GOOD, "--tls-crl", "l");
    REFUSED("--tls-migrate moves a cluster to TLS", GOOD, "--tls-migrate");
    REFUSED("--tls-migrate accepts it", GOOD, "--tls-cert", "c", "--tls-key", "k", "--tls-ca", "a", "--tls-migrate",
            "--tls-required");
    REFUSED("--heartbeat-interval", GOOD, "--heartbeat-interval", "200ms");
    REFUSED("--heartbeat-interval", GOOD, "--heartbeat-interval", "0ms");
    REFUSED("steps down", GOOD, "--heartbeat-interval", "301ms", "--election-timeout", "2s-3s");
    REFUSED("--election-timeout", GOOD, "--election-timeout", "600ms");
    REFUSED("--election-timeout", GOOD, "--election-timeout", "900ms-600ms");
    REFUSED("--placement", GOOD, "--placement", "no");
    REFUSED("--leader-cloud", GOOD, "--leader-cloud", "a_cloud_with_underscores");
    REFUSED("--log-level", GOOD, "--log-level", "loud");
    REFUSED("--log-format", GOOD, "--log-format", "xml");
    REFUSED("--no-such-option", GOOD, "--no-such-option");
    REFUSED("--no-such-option", "stray", GOOD, "--no-such-option");
    REFUSED("-xyz", GOOD, "-xyz");
    REFUSED("--bootstrap takes no value", GOOD, "--peers", PEERS, "--bootstrap=true");
    REFUSED("--data-dir", GOOD, "--data-dir");
    REFUSED("stray", GOOD, "stray");
    REFUSED("--restore needs --peers", GOOD, "--restore", "file");
    REFUSED("--node-id", "--restore", "file");
    REFUSED("--to", "--dump-wal", "d", "--to", "-1");
    REFUSED("--index", "--dump-snapshot", "d", "--index", "0");
}

static void TestBatondOptionsActions(void **state) {
    (void)state;
    struct batond_options options;
    struct error error = {0};
    assert_int_equal(PARSE(&options, &error, "--help"), OK);
    assert_int_equal(options.action, BATOND_HELP);
    assert_int_equal(PARSE(&options, &error, "--version"), OK);
    assert_int_equal(options.action, BATOND_VERSION);
    assert_int_equal(PARSE(&options, &error, "--dump-wal", "d", "--to", "17"), OK);
    assert_int_equal(options.action, BATOND_DUMP_WAL);
    assert_int_equal(options.dump_to, 17);
    assert_int_equal(PARSE(&options, &error, "--dump-snapshot", "d", "--index", "17"), OK);
    assert_int_equal(options.action, BATOND_DUMP_SNAPSHOT);
    assert_string_equal(options.wal_dir, "d");
    assert_int_equal(options.dump_index, 17);
    assert_int_equal(PARSE(&options, &error, "--check-wal=d"), OK);
    assert_int_equal(options.action, BATOND_CHECK_WAL);
    assert_int_equal(PARSE(&options, &error, GOOD, "--rebuild"), OK);
    assert_int_equal(options.action, BATOND_REBUILD);
    assert_int_equal(PARSE(&options, &error, "--rebuild"), ERR_INVALID);  // it is of a node
    assert_int_equal(PARSE(&options, &error, GOOD, "--check-config"), OK);
    assert_int_equal(options.action, BATOND_CHECK_CONFIG);
    assert_int_equal(PARSE(&options, &error, GOOD, "--peers", PEERS, "--restore", "file"), OK);
    assert_int_equal(options.action, BATOND_RESTORE);
    assert_string_equal(options.restore, "file");
    assert_int_equal(options.node.peer_count, 3);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(TestBatondOptionsComplete),   cmocka_unit_test(TestBatondOptionsTls),
    cmocka_unit_test(TestBatondOptionsPrecedence), cmocka_unit_test(TestBatondOptionsRefused),
    cmocka_unit_test(TestBatondOptionsActions),    cmocka_unit_test(TestBatondOptionsDefaults),
    cmocka_unit_test(TestBatondOptionsHelp),
};

UNIT_MAIN(tests)
