// src/tls without sockets: two sessions face each other, and the test is the wire between them. It passes on what it gets in
// pieces of any size, and damages it. The certificates are made by deploy/tls/make-certs, whose path is the argument.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/array.h"
#include "base/buf.h"
#include "random.h"
#include "tls/internal.h"
#include "unit.h"

static const char *make_certs;
static char directory[] = "/tmp/test-tls-XXXXXX";

// --- files ---

static void run(const char *const *words) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void certify(const char *days, const char *who) {
    run((const char *const[]){make_certs, "--days", days, directory, who, NULL});
}

struct names {
    char cert[64], key[64], ca[64], crl[64];
};

static struct tls_files files_of(struct names *names, const char *name) {
    snprintf(names->cert, sizeof names->cert, "%s/%s.pem", directory, name);
    snprintf(names->key, sizeof names->key, "%s/%s-key.pem", directory, name);
    snprintf(names->ca, sizeof names->ca, "%s/ca.pem", directory);
    snprintf(names->crl, sizeof names->crl, "%s/crl.pem", directory);
    return (struct tls_files){.cert = names->cert, .key = names->key, .ca = names->ca};
}

static struct tls *open_as(const char *name) {
    struct names names;
    struct tls_files files = files_of(&names, name);
    struct tls *tls = NULL;
    struct error error = {0};
    if (tls_new(&files, NULL, &tls, &error) != OK) {
        fail_msg("%s", error.message);
    }
    return tls;
}

static int set_up(void **state) {
    (void)state;
    assert_non_null(mkdtemp(directory));
    certify("5", "node/n1");
    certify("5", "node/n2");
    certify("5", "worker/w1");
    certify("-1", "node/old");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    run((const char *const[]){"rm", "-r", directory, NULL});
    return 0;
}

// --- two ends ---

struct end {
    struct tls_session *session;
    struct buf got;
    enum tls_read last;
};

static void read_all(struct end *end, struct slice bytes) {
    uint8_t plain[1000];
    size_t len;
    tls_session_feed(end->session, bytes);
    while ((end->last = tls_session_read(end->session, plain, sizeof plain, &len)) == TLS_READ) {
        buf_append(&end->got, plain, len);
    }
}

// Carries what `from` has to say, in random pieces; of all the bytes, the one at *damage is changed, if there is one so far
// on. False: there was nothing to carry.
static bool carry(struct end *from, struct end *to, uint64_t *random, size_t *damage) {
    struct slice output = tls_session_output(from->session);
    struct buf bytes = {0};
    buf_append_slice(&bytes, output);
    tls_session_sent(from->session);
    if (*damage < bytes.len) {
        bytes.data[*damage] ^= (uint8_t)(1u << random_below(random, 8));
        *damage = SIZE_MAX;
    } else if (*damage != SIZE_MAX) {
        *damage -= bytes.len;
    }
    for (size_t at = 0; at < bytes.len;) {
        size_t piece = 1 + random_below(random, random_below(random, 2) == 0 ? 3 : 5000);
        piece = piece < bytes.len - at ? piece : bytes.len - at;
        read_all(to, slice_of(bytes.data + at, piece));
        at += piece;
    }
    bool any = bytes.len > 0;
    buf_free(&bytes);
    return any;
}

static void talk(struct end *client, struct end *server, uint64_t *random, size_t damage) {
    bool any = true;
    while (any) {
        any = carry(client, server, random, &damage);
        any = carry(server, client, random, &damage) || any;
    }
}

static void meet(struct end *client, struct end *server, struct tls *ours, struct tls *theirs, const char *peer) {
    *client = (struct end){.session = tls_session_new(ours, TLS_CLIENT, "h2", peer)};
    *server = (struct end){.session = tls_session_new(theirs, TLS_SERVER, "h2", NULL)};
    tls_session_start(client->session);
}

static void part(struct end *client, struct end *server) {
    tls_session_free(client->session);
    tls_session_free(server->session);
    buf_free(&client->got);
    buf_free(&server->got);
}

static struct slice some_bytes(uint64_t *random) {
    static uint8_t bytes[100000];
    size_t len = 1 + random_below(random, random_below(random, 2) == 0 ? 100 : sizeof bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)random_u64(random);
    }
    return slice_of(bytes, len);
}

// --- tests ---

static void TestTlsSession(void **state) {
    (void)state;
    uint64_t random = random_seed("TestTlsSession");
    struct tls *n1 = open_as("n1");
    struct tls *w1 = open_as("w1");
    struct end client, server;
    for (int round = 0; round < 20; round++) {
        meet(&client, &server, w1, n1, round % 2 == 0 ? "node/n1" : NULL);
        talk(&client, &server, &random, SIZE_MAX);
        assert_true(tls_session_ready(client.session) && tls_session_ready(server.session));
        assert_string_equal(tls_session_identity(client.session), "node/n1");
        assert_string_equal(tls_session_identity(server.session), "worker/w1");
        for (int message = 0; message < 4; message++) {
            struct slice bytes = some_bytes(&random);
            bool up = message % 2 == 0;
            buf_clear(&client.got);
            buf_clear(&server.got);
            assert_true(tls_session_write(up ? client.session : server.session, bytes));
            talk(&client, &server, &random, SIZE_MAX);
            assert_true(slice_equal(buf_slice(up ? &server.got : &client.got), bytes));
        }
        tls_session_end(client.session);
        talk(&client, &server, &random, SIZE_MAX);
        assert_int_equal(server.last, TLS_READ_END);
        part(&client, &server);
    }
    tls_free(n1);
    tls_free(w1);
}

// One bit changed anywhere: no session gives a byte that was not sent, and the one that notices fails.
static void TestTlsSessionDamaged(void **state) {
    (void)state;
    uint64_t random = random_seed("TestTlsSessionDamaged");
    struct tls *n1 = open_as("n1");
    struct tls *n2 = open_as("n2");
    struct end client, server;
    int noticed = 0;
    for (int round = 0; round < 400; round++) {
        meet(&client, &server, n1, n2, "node/n2");
        struct slice bytes = slice_of("what was really said", 20);
        size_t damage = random_below(&random, 3000);
        bool late = round % 4 == 0;  // after the handshake
        talk(&client, &server, &random, late ? SIZE_MAX : damage);
        if (tls_session_ready(client.session) && tls_session_write(client.session, bytes)) {
            talk(&client, &server, &random, late ? damage % 40 : SIZE_MAX);
        }
        assert_true(server.got.len == 0 || slice_equal(buf_slice(&server.got), bytes));
        assert_int_equal(client.got.len, 0);
        if (tls_session_failure(client.session) != NULL || tls_session_failure(server.session) != NULL) {
            noticed++;
        }
        part(&client, &server);
    }
    assert_true(noticed > 200);  // the others had no effect, or were after the last byte
    tls_free(n1);
    tls_free(n2);
}

static void refused(const char *who, const char *by, const char *peer, const char *ours, const char *told) {
    uint64_t random = 1;
    struct tls *server_tls = open_as(who);
    struct tls *client_tls = open_as(by);
    struct end client, server;
    meet(&client, &server, client_tls, server_tls, peer);
    talk(&client, &server, &random, SIZE_MAX);
    assert_false(tls_session_ready(client.session) || tls_session_ready(server.session));
    assert_null(tls_session_identity(client.session));
    print_message("%s; %s\n", tls_session_failure(client.session), tls_session_failure(server.session));
    assert_non_null(strstr(tls_session_failure(client.session), ours));
    assert_non_null(strstr(tls_session_failure(server.session), told));
    assert_false(tls_session_write(client.session, slice_of("x", 1)));
    part(&client, &server);
    tls_free(server_tls);
    tls_free(client_tls);
}

static void TestTlsSessionRefused(void **state) {
    (void)state;
    refused("n1", "n2", "node/n3", "the certificate is refused: it is node/n1's, and this should be node/n3",
            "the peer refuses our certificate, of node/n1: bad certificate");
    refused("old", "n2", NULL, "the certificate of node/old is refused: certificate has expired on",
            "the peer refuses our certificate, of node/old: certificate expired");
    // A worker that listens: its certificate is for clients only, and it is no node either.
    refused("w1", "n2", NULL, "the certificate of worker/w1 is refused: unsuitable certificate purpose",
            "the peer refuses our certificate, of worker/w1");
}

// An authority that is careless with purposes has made a worker's certificate fit for a server: the worker is no node for
// that.
static void TestTlsServersAreNodes(void **state) {
    (void)state;
    char command[1024];
    snprintf(command, sizeof command,
             "cd %s && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout w9-key.pem -subj /CN=w9 "
             "-out request >said 2>&1 && printf "
             "'subjectAltName=URI:baton://worker/w9\\nextendedKeyUsage=serverAuth,clientAuth\\n' "
             ">extensions && openssl x509 -req -in request -CA ca.pem -CAkey ca-key.pem -set_serial 9 -days 5 -extfile "
             "extensions "
             "-out w9.pem >said 2>&1",
             directory);
    assert_int_equal(system(command), 0);
    refused("w9", "n2", NULL, "the certificate is refused: worker/w9 is not a node",
            "the peer refuses our certificate, of worker/w9: bad certificate");
}

// What a certificate's URI names; a star only for a fleet, and only at its end.
static void TestTlsIdentities(void **state) {
    (void)state;
#define LONGEST "a234567890123456789012345678901234567890123456789012345678901234"
    static const struct {
        const char *uri;
        const char *identity;  // NULL: refused
    } cases[] = {
        {"baton://node/n1", "node/n1"},
        {"baton://operator/anna", "operator/anna"},
        {"baton://program/billing", "program/billing"},
        {"baton://worker/w1", "worker/w1"},
        {"baton://workers/etl-*", "workers/etl-*"},
        {"baton://workers/etl-1", "workers/etl-1"},
        {"baton://workers/*", "workers/*"},
        {"baton://workers/" LONGEST "*", "workers/" LONGEST "*"},
        {"baton://workers/" LONGEST "5*", NULL},
        {"baton://workers/", NULL},
        {"baton://workers/a*b", NULL},
        {"baton://workers/a**", NULL},
        {"baton://workers/a b*", NULL},
        {"baton://worker/etl-*", NULL},
        {"baton://program/*", NULL},
        {"baton://programs/billing", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char value[160];
        char identity[TLS_IDENTITY_MAX + 1];
        snprintf(value, sizeof value, "URI:%s", cases[i].uri);
        X509 *cert = X509_new();
        X509_EXTENSION *names = X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name, value);
        assert_true(names != NULL && X509_add_ext(cert, names, -1) == 1);
        assert_int_equal(tls_identity_of(cert, identity), cases[i].identity != NULL);
        if (cases[i].identity != NULL) {
            assert_string_equal(identity, cases[i].identity);
        }
        X509_EXTENSION_free(names);
        X509_free(cert);
    }
}

// A client that shows no certificate gets no further than that, and the server lives on.
static void TestTlsClientWithoutCertificate(void **state) {
    (void)state;
    struct tls *n1 = open_as("n1");
    struct end server = {.session = tls_session_new(n1, TLS_SERVER, "h2", NULL)};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(context);
    BIO *from_server = BIO_new(BIO_s_mem());
    BIO *to_server = BIO_new(BIO_s_mem());
    SSL_set_bio(client, from_server, to_server);
    SSL_set_connect_state(client);
    assert_int_equal(SSL_set_alpn_protos(client, (const unsigned char *)"\2h2", 3), 0);
    for (int round = 0; round < 4; round++) {
        char *said;
        SSL_do_handshake(client);
        size_t len = (size_t)BIO_get_mem_data(to_server, &said);
        read_all(&server, slice_of(said, len));
        assert_int_equal(BIO_reset(to_server), 1);
        struct slice answer = tls_session_output(server.session);
        BIO_write(from_server, answer.data, (int)answer.len);
        tls_session_sent(server.session);
    }
    assert_int_equal(server.last, TLS_READ_FAILED);
    assert_false(tls_session_ready(server.session));
    assert_null(tls_session_identity(server.session));
    assert_non_null(strstr(tls_session_failure(server.session), "did not return a certificate"));
    tls_session_free(server.session);
    buf_free(&server.got);
    SSL_free(client);
    SSL_CTX_free(context);
    tls_free(n1);
}

// The output of `client`, followed by `more`.
static struct buf flight_of(struct end *client, struct slice more) {
    struct buf bytes = {0};
    buf_append_slice(&bytes, tls_session_output(client->session));
    tls_session_sent(client->session);
    buf_append_slice(&bytes, more);
    return bytes;
}

// A client's request in the same input as the end of its handshake, and a failure in or right after it: the server knows the
// client's identity before it gets a byte of the request, or gets none.
static void early_request(const char *protocol, struct slice garbage, bool accepted) {
    static const char request[] = "a request";
    uint8_t plain[1000];
    size_t len;
    struct tls *n1 = open_as("n1");
    struct tls *w1 = open_as("w1");
    struct end client = {.session = tls_session_new(w1, TLS_CLIENT, protocol, NULL)};
    struct end server = {.session = tls_session_new(n1, TLS_SERVER, "h2", NULL)};
    tls_session_start(client.session);
    struct buf hello = flight_of(&client, slice_of("", 0));
    read_all(&server, buf_slice(&hello));
    struct buf answer = flight_of(&server, slice_of("", 0));
    read_all(&client, buf_slice(&answer));
    assert_true(tls_session_write(client.session, slice_of(request, sizeof request)));
    struct buf last = flight_of(&client, garbage);
    tls_session_feed(server.session, buf_slice(&last));
    enum tls_read result = tls_session_read(server.session, plain, sizeof plain, &len);
    if (accepted) {
        assert_int_equal(result, TLS_READ);
        assert_true(tls_session_ready(server.session));
        assert_string_equal(tls_session_identity(server.session), "worker/w1");
        assert_true(slice_equal(slice_of(plain, len), slice_of(request, sizeof request)));
        result = tls_session_read(server.session, plain, sizeof plain, &len);
    } else {
        assert_false(tls_session_ready(server.session));
    }
    assert_int_equal(result, TLS_READ_FAILED);
    assert_int_equal(len, 0);
    buf_free(&hello);
    buf_free(&answer);
    buf_free(&last);
    part(&client, &server);
    tls_free(n1);
    tls_free(w1);
}

static void TestTlsSessionEarlyRequest(void **state) {
    (void)state;
    static const uint8_t no_record_of_ours[5 + 32] = {0x17, 3, 3, 0, 32};
    early_request("h2", slice_of(no_record_of_ours, sizeof no_record_of_ours), true);
    early_request(NULL, slice_of("", 0), false);  // a client that does not offer ALPN
}

static void TestTlsReload(void **state) {
    (void)state;
    uint64_t random = 1;
    struct names names, others;
    struct tls_files files = files_of(&names, "n1");
    struct tls_files of_n2 = files_of(&others, "n2");
    struct tls *tls = NULL;
    struct error error = {0};
    assert_int_equal(tls_new(&files, "node/n2", &tls, &error), ERR_INVALID);
    assert_non_null(strstr(error.message, "names node/n1, but this is node/n2"));
    assert_int_equal(tls_new(&files, "node/n1", &tls, &error), OK);
    assert_false(tls_expired(tls));
    assert_false(tls_files_changed(tls));
    struct end client, server;
    meet(&client, &server, tls, tls, "node/n1");
    talk(&client, &server, &random, SIZE_MAX);

    certify("5", "node/n1");
    assert_false(tls_files_changed(tls));  // not yet: more files may be about to change
    assert_true(tls_files_changed(tls));
    struct buf before = {0};
    buf_append_slice(&before, tls_cert_pem(tls));
    assert_int_equal(tls_reload(tls, &error), OK);
    assert_false(slice_equal(buf_slice(&before), tls_cert_pem(tls)));
    assert_false(tls_files_changed(tls));

    run((const char *const[]){"cp", of_n2.key, files.key, NULL});
    assert_false(tls_files_changed(tls));
    assert_true(tls_files_changed(tls));
    buf_clear(&before);
    buf_append_slice(&before, tls_cert_pem(tls));
    assert_int_equal(tls_reload(tls, &error), ERR_INVALID);
    assert_non_null(strstr(error.message, "does not belong to the certificate"));
    assert_true(slice_equal(buf_slice(&before), tls_cert_pem(tls)));
    assert_false(tls_files_changed(tls));  // tried once, not again and again

    assert_true(tls_session_write(client.session, slice_of("still here", 10)));
    talk(&client, &server, &random, SIZE_MAX);
    assert_true(slice_equal(buf_slice(&server.got), slice_of("still here", 10)));
    part(&client, &server);
    buf_free(&before);
    tls_free(tls);
    certify("5", "node/n1");
}

// Half of a file that was copied in place is no shorter file: what was read before stays.
static void TestTlsReloadHalf(void **state) {
    (void)state;
    struct names names;
    struct tls_files files = files_of(&names, "n1");
    struct tls *tls = NULL;
    struct error error = {0};
    char command[256];
    assert_int_equal(tls_new(&files, "node/n1", &tls, &error), OK);
    for (size_t i = 0; i < 2; i++) {
        const char *file = i == 0 ? files.ca : files.cert;
        snprintf(command, sizeof command, "cp %s %s.whole && head -c 300 %s.whole >>%s", file, file, file, file);
        assert_int_equal(system(command), 0);
        assert_int_equal(tls_reload(tls, &error), ERR_INVALID);
        assert_non_null(strstr(error.message, file));
        snprintf(command, sizeof command, "cat %s.whole %s.whole >%s", file, file, file);
        assert_int_equal(system(command), 0);
        assert_int_equal(tls_reload(tls, &error), OK);
        snprintf(command, sizeof command, "mv %s.whole %s", file, file);
        assert_int_equal(system(command), 0);
    }
    assert_int_equal(tls_reload(tls, &error), OK);
    tls_free(tls);
}

// --- revocation ---

// Runs a shell command in the directory.
static void in_directory(const char *format, ...) {
    char command[2048];
    int len = snprintf(command, sizeof command, "cd %s && ", directory);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command + len, sizeof command - (size_t)len, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

// The authority's list of all that `revoke` has named so far, due in so many seconds from a minute ago.
static void list_revoked(const char *authority, const char *file, int seconds) {
    in_directory("touch %s.index && echo 01 >number && printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=%s.index\\n"
                 "default_md=sha256\\ncrlnumber=number\\n' >%s.cnf && "
                 "openssl ca -gencrl -config %s.cnf -cert %s.pem -keyfile %s-key.pem "
                 "-crl_lastupdate $(date -u -d '-1 minute' +%%Y%%m%%d%%H%%M%%SZ) "
                 "-crl_nextupdate $(date -u -d '-1 minute %d seconds' +%%Y%%m%%d%%H%%M%%SZ) -out %s 2>/dev/null",
                 authority, authority, authority, authority, authority, authority, seconds, file);
}

static void revoke_in(const char *authority, const char *name) {
    in_directory("serial=$(openssl x509 -in %s.pem -noout -serial | cut -d= -f2) && "
                 "printf 'R\\t351231235959Z\\t260101000000Z\\t%%s\\tunknown\\t/CN=%s\\n' $serial >>%s.index",
                 name, name, authority);
}

static struct tls *open_listed(struct names *names, const char *name) {
    struct tls_files files = files_of(names, name);
    files.crl = names->crl;
    struct tls *tls = NULL;
    struct error error = {0};
    if (tls_new(&files, NULL, &tls, &error) != OK) {
        fail_msg("%s", error.message);
    }
    return tls;
}

// A session that is made after the list, one before it, and one whose handshake it interrupts: of a certificate that it
// revokes, and of another.
static void TestTlsRevoked(void **state) {
    (void)state;
    uint64_t random = 1;
    struct names names;
    struct error error = {0};
    in_directory("rm -f ca.index");
    list_revoked("ca", "crl.pem", 3600);
    certify("5", "operator/anna");
    struct tls *n1 = open_listed(&names, "n1");
    struct tls *anna = open_as("anna"), *w1 = open_as("w1");
    struct end client[3], server[3];
    struct tls *who[3] = {anna, w1, w1};
    for (int i = 0; i < 3; i++) {
        meet(&client[i], &server[i], who[i], n1, NULL);
        if (i < 2) {
            talk(&client[i], &server[i], &random, SIZE_MAX);
            assert_true(tls_session_ready(server[i].session));
        }
        assert_false(tls_session_revoked(server[i].session, n1));
    }
    assert_int_equal(tls_revoked_count(n1), 0);
    revoke_in("ca", "anna");
    list_revoked("ca", "crl.pem", 3600);
    assert_int_equal(tls_reload(n1, &error), OK);
    assert_int_equal(tls_revoked_count(n1), 1);
    assert_true(tls_session_revoked(server[0].session, n1));
    assert_false(tls_session_revoked(server[1].session, n1));
    assert_true(tls_session_revoked(server[2].session, n1));
    for (int i = 0; i < 3; i++) {
        part(&client[i], &server[i]);
    }
    for (int i = 0; i < 2; i++) {
        meet(&client[0], &server[0], who[i], n1, NULL);
        talk(&client[0], &server[0], &random, SIZE_MAX);
        assert_int_equal(tls_session_ready(server[0].session), i == 1);
        if (i == 0) {
            assert_string_equal(tls_session_failure(server[0].session),
                                "the certificate of operator/anna is refused: certificate revoked");
            assert_non_null(strstr(tls_session_failure(client[0].session), "operator/anna: certificate revoked"));
        }
        assert_false(tls_session_revoked(server[0].session, n1));
        part(&client[0], &server[0]);
    }
    tls_free(anna);
    tls_free(w1);
    tls_free(n1);
}

// A client with a list refuses a revoked node, too. The node itself still runs, and knows.
static void TestTlsRevokedNode(void **state) {
    (void)state;
    uint64_t random = 1;
    struct names names;
    struct end client, server;
    in_directory("rm -f ca.index");
    revoke_in("ca", "n2");
    list_revoked("ca", "crl.pem", 3600);
    struct tls *n1 = open_listed(&names, "n1"), *n2 = open_listed(&names, "n2");
    assert_false(tls_revoked(n1));
    assert_true(tls_revoked(n2));
    meet(&client, &server, n1, n2, "node/n2");
    talk(&client, &server, &random, SIZE_MAX);
    assert_string_equal(tls_session_failure(client.session), "the certificate of node/n2 is refused: certificate revoked");
    part(&client, &server);
    tls_free(n1);
    tls_free(n2);
}

// What is no good is refused, and what was read before stays in force.
static void TestTlsListRefused(void **state) {
    (void)state;
    struct names names;
    struct error error = {0};
    in_directory("rm -f ca.index");
    list_revoked("ca", "crl.pem", 3600);
    struct tls *n1 = open_listed(&names, "n1");
    int64_t due = tls_ends(n1).crl;
    assert_true(due > time(NULL) + 3000 && due < time(NULL) + 3700);
    revoke_in("ca", "w1");
    static const struct {
        const char *made, *told;
    } bad[] = {
        {"rm crl.pem", "cannot read"},
        {": >crl.pem", "holds no usable list"},
        {"cp ca.pem crl.pem", "holds no usable list"},
        {"head -c 200 list.pem >crl.pem", "holds no usable list"},
        {"(cat list.pem; head -c 200 list.pem) >crl.pem", "holds no usable list"},
        {"cp foreign.crl crl.pem", "holds no list of the authority /CN=baton trial authority"},
        {"cp forged.crl crl.pem", "is not signed with that authority's key"},
        {"cp overdue.crl crl.pem", "is overdue: another one has been due for "},
    };
    list_revoked("ca", "list.pem", 3600);
    list_revoked("ca", "overdue.crl", 50);
    in_directory(
        "for name in foreign forged; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
        "$name-key.pem -out $name.pem -subj \"/CN=$([ $name = forged ] && echo baton trial authority || echo "
        "another)\" 2>/dev/null; done");
    list_revoked("foreign", "foreign.crl", 3600);
    list_revoked("forged", "forged.crl", 3600);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        in_directory("%s", bad[i].made);
        assert_int_equal(tls_reload(n1, &error), ERR_INVALID);
        print_message("%s\n", error.message);
        assert_non_null(strstr(error.message, bad[i].told));
        assert_int_equal(tls_revoked_count(n1), 0);
        assert_int_equal(tls_ends(n1).crl, due);
    }
    in_directory("cp list.pem crl.pem");
    assert_int_equal(tls_reload(n1, &error), OK);
    assert_int_equal(tls_revoked_count(n1), 1);
    tls_free(n1);
    struct tls *none = NULL;
    struct tls_files files = {.crl = names.crl};
    bool given;
    assert_int_equal(tls_files_check(&files, false, &given, &error), ERR_INVALID);
    assert_non_null(strstr(error.message, "--tls-crl revokes certificates"));
    files = files_of(&names, "n1");
    files.crl = names.key;
    assert_int_equal(tls_new(&files, NULL, &none, &error), ERR_INVALID);
    assert_null(none);
}

// An overdue list with which a node starts is in force: who is revoked stays so, others are not refused for its age, and new
// certificates can be read beside it.
static void TestTlsListOverdue(void **state) {
    (void)state;
    uint64_t random = 1;
    struct names names;
    struct error error = {0};
    struct end client, server;
    in_directory("rm -f ca.index");
    revoke_in("ca", "w1");
    list_revoked("ca", "crl.pem", 50);
    struct tls *n1 = open_listed(&names, "n1");
    assert_true(tls_ends(n1).crl < time(NULL));
    for (int i = 0; i < 2; i++) {
        struct tls *other = open_as(i == 0 ? "n2" : "w1");
        meet(&client, &server, other, n1, NULL);
        talk(&client, &server, &random, SIZE_MAX);
        assert_int_equal(tls_session_ready(server.session), i == 0);
        part(&client, &server);
        tls_free(other);
    }
    int64_t before = tls_ends(n1).cert;
    certify("7", "node/n1");
    assert_int_equal(tls_reload(n1, &error), OK);
    assert_true(tls_ends(n1).cert > before);
    certify("5", "node/n1");
    tls_free(n1);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(TestTlsSession),         cmocka_unit_test(TestTlsSessionDamaged),
        cmocka_unit_test(TestTlsSessionRefused),  cmocka_unit_test(TestTlsSessionEarlyRequest),
        cmocka_unit_test(TestTlsReload),          cmocka_unit_test(TestTlsReloadHalf),
        cmocka_unit_test(TestTlsServersAreNodes), cmocka_unit_test(TestTlsClientWithoutCertificate),
        cmocka_unit_test(TestTlsRevoked),         cmocka_unit_test(TestTlsRevokedNode),
        cmocka_unit_test(TestTlsListRefused),     cmocka_unit_test(TestTlsListOverdue),
        cmocka_unit_test(TestTlsIdentities),
    };
    make_certs = argc > 1 ? argv[1] : "deploy/tls/make-certs";
    if (getenv("BATON_TEST_FILTER") != NULL) {
        cmocka_set_test_filter(getenv("BATON_TEST_FILTER"));
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
