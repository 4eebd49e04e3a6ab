// Fuzzes what src/tls reads: certificates, keys and authorities in files, as PEM or as the DER that PEM wraps, the identity
// in a certificate, and the bytes of a peer on a session. What is loaded has an identity; a reload that fails changes
// nothing.
//
// The first byte says how; then come the certificate's, the key's and the authorities' bytes and those of the session, each
// with its length in two bytes.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "../../src/tls/internal.h"
#include "base/base64.h"
#include "base/buf.h"
#include "fuzz.h"

enum { CERT, KEY, CA, FILES };
enum { DER = 1, AGAIN = 8, CLIENT = 16, ANY_IDENTITY = 32 };  // DER: one bit for each file

static struct {
    int fds[FILES];
    char names[FILES][32];
} files;

static void open_files(void) {
    for (int i = 0; i < FILES && files.names[i][0] == '\0'; i++) {
        files.fds[i] = memfd_create("pem", MFD_CLOEXEC);
        assert(files.fds[i] >= 0);
        snprintf(files.names[i], sizeof files.names[i], "/proc/self/fd/%d", files.fds[i]);
    }
}

static void put_pem(struct buf *out, const char *label, struct slice der) {
    enum { LINE = 48 };
    buf_printf(out, "-----BEGIN %s-----\n", label);
    while (der.len > 0) {
        struct slice part = take_bytes(&der, LINE);
        char *text = (char *)buf_reserve(out, base64_encoded_len(part.len));
        out->len += base64_encode(text, part.data, part.len);
        buf_append_str(out, "\n");
    }
    buf_printf(out, "-----END %s-----\n", label);
}

static void write_file(int which, struct slice bytes, bool is_der) {
    static const char *const labels[] = {"CERTIFICATE", "PRIVATE KEY", "CERTIFICATE"};
    struct buf text = {.len = 0};
    if (is_der) {
        put_pem(&text, labels[which], bytes);
    } else {
        buf_append_slice(&text, bytes);
    }
    int failed = ftruncate(files.fds[which], 0);
    ssize_t written = text.len == 0 ? 0 : pwrite(files.fds[which], text.data, text.len, 0);
    assert(failed == 0 && written == (ssize_t)text.len);
    buf_free(&text);
}

// A peer's certificate is read before anybody has vouched for it.
static void read_certificate(struct slice der) {
    const unsigned char *at = der.data;
    char identity[TLS_IDENTITY_MAX + 1];
    char text[32];
    X509 *cert = der.len == 0 ? NULL : d2i_X509(NULL, &at, (long)der.len);
    if (cert != NULL) {
        if (tls_identity_of(cert, identity)) {
            assert(strlen(identity) > strlen("node/") && strchr(identity, '/') != NULL);
        }
        tls_time_text(X509_get0_notAfter(cert), text);
        assert(strlen(text) < sizeof text);
        X509_free(cert);
    }
    ERR_clear_error();
}

static void feed(struct tls *tls, bool client, struct slice bytes) {
    struct tls_session *session = tls_session_new(tls, client ? TLS_CLIENT : TLS_SERVER, "h2", NULL);
    uint8_t plain[512];
    size_t len = 0;
    assert(session != NULL);
    if (client) {
        tls_session_start(session);
        assert(tls_session_output(session).len > 0);
        tls_session_sent(session);
    }
    tls_session_feed(session, bytes);
    enum tls_read result;
    while ((result = tls_session_read(session, plain, sizeof plain, &len)) == TLS_READ) {
        assert(len > 0 && len <= sizeof plain && tls_session_ready(session));
    }
    assert((result == TLS_READ_FAILED) == (tls_session_failure(session) != NULL));
    if (tls_session_ready(session)) {
        assert(tls_session_identity(session) != NULL);
        tls_session_write(session, slice_of("hello", 5));
    }
    tls_session_sent(session);
    tls_session_end(session);
    tls_session_free(session);
}

static void load(uint8_t how, struct slice session) {
    struct tls_files named = {.cert = files.names[CERT], .key = files.names[KEY], .ca = files.names[CA]};
    struct tls *tls;
    struct error error = {.code = OK};
    if (tls_new(&named, (how & ANY_IDENTITY) != 0 ? NULL : "node/n1", &tls, &error) != OK) {
        assert(error.code == ERR_INVALID && strstr(error.message, "/proc/self/fd/") != NULL);
        return;
    }
    assert(strchr(tls_identity(tls), '/') != NULL && tls_expiry(tls)[0] != '\0' && tls_cert_pem(tls).len > 0);
    (void)tls_expired(tls);
    feed(tls, (how & CLIENT) != 0, session);
    if ((how & AGAIN) != 0) {
        char identity[TLS_IDENTITY_MAX + 1];
        snprintf(identity, sizeof identity, "%s", tls_identity(tls));
        write_file(KEY, session, false);
        (void)tls_files_changed(tls);
        enum error_code code = tls_reload(tls, &error);
        assert(code == OK || (code == ERR_INVALID && strcmp(identity, tls_identity(tls)) == 0));
    }
    tls_free(tls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_of(data, size);
    uint8_t how = take_byte(&input);
    open_files();
    for (int i = 0; i < FILES; i++) {
        struct slice bytes = take_bytes(&input, take_number(&input, 2));
        bool is_der = (how & DER << i) != 0;
        write_file(i, bytes, is_der);
        if (is_der && i != KEY) {
            read_certificate(bytes);
        }
    }
    load(how, input);
    return 0;
}
