// A TLS session. OpenSSL reads from the bytes fed in, which are borrowed, and writes to a buffer, through one BIO.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tls/internal.h"

enum { OUTPUT_KEPT_MAX = 32 * KIB };  // of the output buffer, when it is empty

struct tls_session {
    SSL *ssl;
    enum tls_side side;
    const char *protocol;
    const char *peer;
    struct slice input;
    struct buf output;
    bool failed;
    bool ready;
    bool found_plain;                     // the peer's bytes were not TLS
    char identity[TLS_IDENTITY_MAX + 1];  // the peer's; "" until its certificate is accepted
    char ours[TLS_IDENTITY_MAX + 1];
    char failure[192];
};

// --- the BIO ---

static int wire_read(BIO *bio, char *to, int size) {
    struct tls_session *session = BIO_get_data(bio);
    size_t len = session->input.len < (size_t)size ? session->input.len : (size_t)size;
    if (len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, session->input.data, len);
    session->input = slice_of(session->input.data + len, session->input.len - len);
    return (int)len;
}

static int wire_write(BIO *bio, const char *from, int len) {
    assert(len >= 0);
    struct tls_session *session = BIO_get_data(bio);
    buf_append(&session->output, from, (size_t)len);
    return len;
}

static long wire_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO *wire_new(struct tls_session *session) {
    static BIO_METHOD *method;
    if (method == NULL && (method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "baton")) != NULL) {
        BIO_meth_set_read(method, wire_read);
        BIO_meth_set_write(method, wire_write);
        BIO_meth_set_ctrl(method, wire_control);
    }
    BIO *bio = method == NULL ? NULL : BIO_new(method);
    if (bio != NULL) {
        BIO_set_data(bio, session);
        BIO_set_init(bio, 1);
    }
    return bio;
}

// --- the peer's identity ---

static void refuse_certificate(struct tls_session *session, X509_STORE_CTX *check) {
    int reason = X509_STORE_CTX_get_error(check);
    char identity[TLS_IDENTITY_MAX + 1];
    char when[32] = "";
    if (!tls_identity_of(X509_STORE_CTX_get0_cert(check), identity)) {
        snprintf(identity, sizeof identity, "a peer without identity");
    }
    if (reason == X509_V_ERR_CERT_HAS_EXPIRED) {
        tls_time_text(X509_get0_notAfter(X509_STORE_CTX_get_current_cert(check)), when);
    }
    snprintf(session->failure, sizeof session->failure, "the certificate of %s is refused: %s%s%s", identity,
             X509_verify_cert_error_string(reason), when[0] == '\0' ? "" : " on ", when);
}

// OpenSSL's callback for each certificate of the chain, the peer's own last.
static int on_verify(int good, X509_STORE_CTX *check) {
    SSL *ssl = X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_app_data(ssl);
    int error = X509_STORE_CTX_get_error(check);
    if (error == X509_V_ERR_CRL_HAS_EXPIRED || error == X509_V_ERR_CRL_NOT_YET_VALID) {
        X509_STORE_CTX_set_error(check, X509_V_OK);  // see revocation.c
        return 1;
    }
    if (!good) {
        refuse_certificate(session, check);
        return 0;
    }
    if (X509_STORE_CTX_get_error_depth(check) > 0) {
        return 1;
    }
    char *identity = session->identity;
    if (!tls_identity_of(X509_STORE_CTX_get0_cert(check), identity)) {
        snprintf(session->failure, sizeof session->failure,
                 "the certificate is refused: it names no node, worker, operator or program (baton://ROLE/NAME)");
    } else if (session->peer != NULL && strcmp(identity, session->peer) != 0) {
        snprintf(session->failure, sizeof session->failure, "the certificate is refused: it is %s's, and this should be %s",
                 identity, session->peer);
    } else if (session->side == TLS_CLIENT && strncmp(identity, "node/", 5) != 0) {
        snprintf(session->failure, sizeof session->failure, "the certificate is refused: %s is not a node", identity);
    } else {
        return 1;
    }
    identity[0] = '\0';
    X509_STORE_CTX_set_error(check, X509_V_ERR_HOSTNAME_MISMATCH);  // its alert is "bad certificate"
    return 0;
}

// `in` is the client's offer: protocols, each after its length.
int tls_choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                        unsigned in_len, void *user) {
    (void)user;
    const struct tls_session *session = SSL_get_app_data(ssl);
    size_t len = session->protocol == NULL ? 0 : strlen(session->protocol);
    for (unsigned i = 0; i < in_len; i += in[i] + 1u) {
        if (len > 0 && in[i] == len && memcmp(in + i + 1, session->protocol, len) == 0) {
            *out = in + i + 1;
            *out_len = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// --- creation ---

static bool offer_protocol(SSL *ssl, const char *protocol) {
    unsigned char list[16];
    size_t len = strlen(protocol);
    assert(len > 0 && len < sizeof list);
    list[0] = (unsigned char)len;
    memcpy(list + 1, protocol, len);
    return SSL_set_alpn_protos(ssl, list, (unsigned)len + 1) == 0;
}

struct tls_session *tls_session_new(struct tls *tls, enum tls_side side, const char *protocol, const char *peer) {
    struct tls_session *session = mem_zalloc(sizeof *session);
    session->side = side;
    session->protocol = protocol;
    session->peer = peer;
    snprintf(session->ours, sizeof session->ours, "%s", tls_identity(tls));
    session->ssl = SSL_new(tls_context(tls));
    BIO *bio = session->ssl == NULL ? NULL : wire_new(session);
    if (bio == NULL) {
        tls_session_free(session);
        return NULL;
    }
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_app_data(session->ssl, session);
    SSL_set_verify(session->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
    if (side == TLS_SERVER) {
        SSL_set_accept_state(session->ssl);
    } else if (protocol == NULL || offer_protocol(session->ssl, protocol)) {
        SSL_set_connect_state(session->ssl);
    } else {
        tls_session_free(session);
        return NULL;
    }
    return session;
}

void tls_session_free(struct tls_session *session) {
    SSL_free(session->ssl);
    buf_free(&session->output);
    free(session);
}

// --- failure ---

// Alerts about the certificate that was presented (RFC 8446, section 6.2).
static bool about_certificate(int alert) {
    return (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) || alert == SSL_AD_UNKNOWN_CA ||
           alert == SSL_AD_ACCESS_DENIED || alert == SSL_AD_CERTIFICATE_REQUIRED;
}

static void describe_failure(struct tls_session *session) {
    unsigned long error = ERR_peek_last_error();
    int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    char *text = session->failure;
    size_t size = sizeof session->failure;
    if (reason > SSL_AD_REASON_OFFSET) {
        int alert = reason - SSL_AD_REASON_OFFSET;
        if (about_certificate(alert)) {
            snprintf(text, size, "the peer refuses our certificate, of %s: %s", session->ours,
                     SSL_alert_desc_string_long(alert));
        } else {
            snprintf(text, size, "the peer ends the TLS connection: %s", SSL_alert_desc_string_long(alert));
        }
    } else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
        session->found_plain = true;
        snprintf(text, size, "the peer does not speak TLS");
    } else {
        const char *known = ERR_reason_error_string(error);
        snprintf(text, size, "the TLS %s failed: %s", session->ready ? "connection" : "handshake",
                 known == NULL ? "unknown" : known);
    }
}

static void fail(struct tls_session *session) {
    session->failed = true;
    session->input = slice_of(NULL, 0);
    if (session->failure[0] == '\0') {
        describe_failure(session);
    }
    ERR_clear_error();
}

// Once, when the handshake is complete. False: ALPN did not select our protocol.
static bool become_ready(struct tls_session *session) {
    assert(!session->ready && !session->failed);
    const unsigned char *chosen;
    unsigned len;
    SSL_get0_alpn_selected(session->ssl, &chosen, &len);
    if (session->protocol != NULL && !slice_equal(slice_of(chosen, len), slice_of_str(session->protocol))) {
        snprintf(session->failure, sizeof session->failure, "the peer did not agree to %s (ALPN)", session->protocol);
        return false;
    }
    assert(session->identity[0] != '\0');  // on_verify has accepted a certificate
    session->ready = true;
    return true;
}

// --- bytes ---

void tls_session_feed(struct tls_session *session, struct slice bytes) {
    if (!session->failed) {
        session->input = bytes;
    }
}

enum tls_read tls_session_read(struct tls_session *session, uint8_t *to, size_t size, size_t *len) {
    *len = 0;
    if (session->failed) {
        return TLS_READ_FAILED;
    }
    ERR_clear_error();
    size_t got = 0;
    bool accepted = true;
    while (accepted && *len < size && SSL_read_ex(session->ssl, to + *len, size - *len, &got) == 1) {
        // Data may follow the end of the handshake in the same input: none of it is given before the peer is accepted.
        accepted = session->ready || become_ready(session);
        *len += accepted ? got : 0;
    }
    int error = !accepted ? SSL_ERROR_SSL : *len < size ? SSL_get_error(session->ssl, 0) : SSL_ERROR_NONE;
    if (!session->ready && SSL_is_init_finished(session->ssl) && error != SSL_ERROR_SSL && !become_ready(session)) {
        error = SSL_ERROR_SSL;
    }
    if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) {
        fail(session);
    }
    assert(*len == 0 || session->ready);
    if (*len > 0) {
        return TLS_READ;
    }
    return session->failed ? TLS_READ_FAILED : error == SSL_ERROR_ZERO_RETURN ? TLS_READ_END : TLS_READ_MORE;
}

void tls_session_start(struct tls_session *session) {
    assert(session->side == TLS_CLIENT);
    ERR_clear_error();
    SSL_do_handshake(session->ssl);
}

bool tls_session_write(struct tls_session *session, struct slice bytes) {
    size_t written;
    assert(session->ready || session->failed);
    ERR_clear_error();
    if (session->failed || SSL_write_ex(session->ssl, bytes.data, bytes.len, &written) != 1) {
        fail(session);
        return false;
    }
    return true;
}

void tls_session_end(struct tls_session *session) {
    if (session->ready && !session->failed) {
        SSL_shutdown(session->ssl);
        ERR_clear_error();
    }
}

struct slice tls_session_output(const struct tls_session *session) {
    return buf_slice(&session->output);
}

void tls_session_sent(struct tls_session *session) {
    if (session->output.cap > OUTPUT_KEPT_MAX) {
        buf_free(&session->output);
    }
    buf_clear(&session->output);
}

bool tls_session_ready(const struct tls_session *session) {
    return session->ready;
}

const char *tls_session_identity(const struct tls_session *session) {
    return session->ready ? session->identity : NULL;
}

bool tls_session_revoked(const struct tls_session *session, const struct tls *tls) {
    if (SSL_get_SSL_CTX(session->ssl) == tls_context(tls)) {
        return false;
    }
    return !session->ready || tls_revokes(tls, SSL_get0_verified_chain(session->ssl));
}

bool tls_session_found_plain(const struct tls_session *session) {
    return session->found_plain;
}

const char *tls_session_failure(const struct tls_session *session) {
    return session->failure[0] == '\0' ? NULL : session->failure;
}
