// Loads the files into an OpenSSL context. All are read and checked before they replace what was loaded before.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/ids.h"
#include "base/mem.h"
#include "tls/internal.h"

enum { CERT, KEY, CA, CRL, FILE_COUNT };

// Tells one version of a file from another.
struct stamp {
    struct timespec changed;
    ino_t inode;
    off_t size;
};

// The files as loaded.
struct material {
    struct buf pem[FILE_COUNT];
    SSL_CTX *context;
    char identity[TLS_IDENTITY_MAX + 1];
    char expiry[32];
    struct tls_ends ends;
    STACK_OF(X509_CRL) * crls;  // NULL: none
    bool revoked;               // they revoke our own certificate, or one above it
};

struct tls {
    const char *files[FILE_COUNT];  // NULL: no CRL
    const char *expected;           // identity; NULL: any
    struct material now;
    struct stamp read[FILE_COUNT];  // when they were last loaded, or failed to
    struct stamp seen[FILE_COUNT];  // when tls_files_changed last looked
};

// --- identities ---

static bool is_name(struct slice name) {
    return id_check(name, "name", NULL) == OK;
}

// What the ids of a fleet's workers begin with, and '*': "etl-*"; or "*": any id; or one id.
static bool is_fleet(struct slice name) {
    if (name.len > 0 && name.data[name.len - 1] == '*') {
        name.len--;
        return name.len == 0 || is_name(name);
    }
    return is_name(name);
}

static bool identity_valid(const char *text, size_t len) {
    static const struct {
        const char *role;
        bool (*is_name)(struct slice name);
    } roles[] = {
        {"node/", is_name}, {"worker/", is_name}, {"workers/", is_fleet}, {"operator/", is_name}, {"program/", is_name},
    };
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++) {
        size_t role = strlen(roles[i].role);
        if (len > role && memcmp(text, roles[i].role, role) == 0) {
            return roles[i].is_name(slice_of(text + role, len - role));
        }
    }
    return false;
}

bool tls_identity_of(X509 *cert, char identity[TLS_IDENTITY_MAX + 1]) {
    static const char scheme[] = "baton://";
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int found = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) {
            continue;
        }
        const char *uri = (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
        size_t len = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
        size_t skip = sizeof scheme - 1;
        if (len > skip && memcmp(uri, scheme, skip) == 0 && identity_valid(uri + skip, len - skip)) {
            assert(len - skip <= TLS_IDENTITY_MAX);  // at most ID_MAX after the role, and the star of a fleet
            memcpy(identity, uri + skip, len - skip);
            identity[len - skip] = '\0';
            found++;
        } else if (len >= skip && memcmp(uri, scheme, skip) == 0) {
            found = 2;  // ours, but not valid
        }
    }
    GENERAL_NAMES_free(names);
    return found == 1;
}

void tls_time_text(const ASN1_TIME *time, char text[32]) {
    BIO *bio = BIO_new(BIO_s_mem());
    int len = 0;
    if (bio != NULL && ASN1_TIME_print(bio, time) == 1) {
        len = BIO_read(bio, text, 31);
    }
    text[len > 0 ? len : 0] = '\0';
    BIO_free(bio);
}

int64_t tls_time_of(const ASN1_TIME *time) {
    struct tm parts;
    return time != NULL && ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

// --- reading ---

static const char *openssl_reason(void) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason == NULL ? "no PEM of that kind in it" : reason;
}

// A key that everybody on the machine may read is nobody's identity. Its group may: a volume of Kubernetes belongs to its
// pod by the group alone (fsGroup), and Debian has the group ssl-cert.
static enum error_code check_secret(const char *name, struct error *error) {
    struct stat found;
    if (stat(name, &found) != 0) {
        return error_set(error, ERR_INVALID, "cannot look at %s: %s", name, strerror(errno));
    }
    if (S_ISREG(found.st_mode) && (found.st_mode & S_IRWXO) != 0) {
        return error_set(error, ERR_INVALID,
                         "everybody on this machine may use the private key %s (its mode is %04o): run chmod o= %s, and "
                         "consider whether it must be replaced",
                         name, (unsigned)(found.st_mode & 07777), name);
    }
    return OK;
}

static enum error_code read_file(const char *name, struct buf *out, struct error *error) {
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set(error, ERR_INVALID, "cannot read %s: %s", name, strerror(errno));
    }
    ssize_t got = 1;
    while (got > 0 && out->len <= TLS_FILE_MAX) {
        got = read(fd, buf_reserve(out, 16 * KIB), 16 * KIB);
        out->len += got > 0 ? (size_t)got : 0;
    }
    int failure = errno;
    close(fd);
    if (got < 0) {
        return error_set(error, ERR_INVALID, "cannot read %s: %s", name, strerror(failure));
    }
    if (out->len > TLS_FILE_MAX) {
        return error_set(error, ERR_INVALID, "%s has more than %d bytes, too many for certificates", name, TLS_FILE_MAX);
    }
    return OK;
}

static BIO *bio_of(const struct buf *pem) {
    return BIO_new_mem_buf(pem->data, (int)pem->len);
}

int tls_no_passphrase(char *text, int size, int writing, void *user) {
    (void)text;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

// The next certificate of a file. NULL: its end, or, with *good set to false, one that cannot be read: a truncated file must
// not pass for a shorter one.
static X509 *next_certificate(BIO *bio, bool *good) {
    X509 *cert = PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL);
    unsigned long error = cert == NULL ? ERR_peek_last_error() : 0;
    bool end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    *good = *good && (cert != NULL || end);
    return cert;
}

// The earlier of two ends; 0: not known yet.
static int64_t sooner(int64_t end, const X509 *cert) {
    int64_t other = tls_time_of(X509_get0_notAfter(cert));
    return end == 0 || other < end ? other : end;
}

static enum error_code take_certificates(SSL_CTX *context, const char *name, const struct buf *pem, int64_t *end,
                                         struct error *error) {
    BIO *bio = bio_of(pem);
    X509 *cert = PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL);
    bool good = cert != NULL && SSL_CTX_use_certificate(context, cert) == 1;
    *end = good ? sooner(0, cert) : 0;
    X509_free(cert);
    while (good && (cert = next_certificate(bio, &good)) != NULL) {
        *end = sooner(*end, cert);
        good = SSL_CTX_add0_chain_cert(context, cert) == 1;
        if (!good) {
            X509_free(cert);  // one that the security level refuses stays ours
        }
    }
    BIO_free(bio);
    return good ? OK : error_set(error, ERR_INVALID, "%s holds no usable certificate: %s", name, openssl_reason());
}

static enum error_code take_key(SSL_CTX *context, const char *name, const struct buf *pem, struct error *error) {
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, tls_no_passphrase, NULL);
    BIO_free(bio);
    if (key == NULL) {
        return error_set(error, ERR_INVALID, "%s holds no usable private key without a passphrase: %s", name,
                         openssl_reason());
    }
    bool fits = SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return fits ? OK : error_set(error, ERR_INVALID, "the private key in %s does not belong to the certificate", name);
}

static enum error_code take_authorities(SSL_CTX *context, const char *name, const struct buf *pem, int64_t *end,
                                        struct error *error) {
    BIO *bio = bio_of(pem);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509 *cert;
    int count = 0;
    bool good = true;
    while (good && (cert = next_certificate(bio, &good)) != NULL) {
        good = X509_STORE_add_cert(store, cert) == 1 && SSL_CTX_add_client_CA(context, cert) == 1;
        *end = sooner(*end, cert);
        X509_free(cert);
        count++;
    }
    BIO_free(bio);
    return good && count > 0 ? OK
                             : error_set(error, ERR_INVALID, "%s holds no usable certificate: %s", name, openssl_reason());
}

// --- checks ---

// That our own certificate is revoked is the peers' concern, like its expiry: this node still needs to know who else is.
static int on_own_verify(int good, X509_STORE_CTX *check) {
    if (!good && X509_STORE_CTX_get_error(check) == X509_V_ERR_CERT_REVOKED) {
        *(bool *)X509_STORE_CTX_get_app_data(check) = true;
        return 1;
    }
    return good;
}

// Verifies our own certificate as peers will, but for its validity period, that of the lists, and its revocation.
static enum error_code check_chain(SSL_CTX *context, const char *cert, const char *ca, bool *revoked, struct error *error) {
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(context, &chain);
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    bool good = check != NULL &&
                X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context), SSL_CTX_get0_certificate(context), chain) == 1;
    if (good) {
        X509_STORE_CTX_set_flags(check, X509_V_FLAG_NO_CHECK_TIME);
        X509_STORE_CTX_set_app_data(check, revoked);
        X509_STORE_CTX_set_verify_cb(check, on_own_verify);
        good = X509_verify_cert(check) == 1;
    }
    if (!good) {
        const char *reason = check == NULL ? "no memory" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(check));
        error_set(error, ERR_INVALID, "the certificate in %s does not come from an authority in %s: %s", cert, ca, reason);
    }
    X509_STORE_CTX_free(check);
    return good ? OK : ERR_INVALID;
}

static enum error_code check_identity(const struct tls *tls, struct material *new, struct error *error) {
    X509 *cert = SSL_CTX_get0_certificate(new->context);
    if (!tls_identity_of(cert, new->identity)) {
        return error_set(
            error, ERR_INVALID,
            "the certificate in %s has no identity; it needs one subject alternative name such as URI:baton://%s",
            tls->files[CERT], tls->expected == NULL ? "operator/NAME" : tls->expected);
    }
    if (tls->expected != NULL && strcmp(new->identity, tls->expected) != 0) {
        return error_set(error, ERR_INVALID, "the certificate in %s names %s, but this is %s", tls->files[CERT],
                         new->identity, tls->expected);
    }
    tls_time_text(X509_get0_notAfter(cert), new->expiry);
    return OK;
}

static SSL_CTX *new_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL) {
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    // For TLS 1.2, suites that HTTP/2 allows (RFC 9113, appendix A): ephemeral keys, AEAD.
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    // A resumed session would not present its certificate.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_alpn_select_cb(context, tls_choose_protocol, NULL);
    // Send the chain in the certificate's file, not what OpenSSL finds among the authorities.
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    return context;
}

static void material_free(struct material *material) {
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (material->pem[i].data != NULL) {
            OPENSSL_cleanse(material->pem[i].data, material->pem[i].cap);
        }
        buf_free(&material->pem[i]);
    }
    SSL_CTX_free(material->context);
    sk_X509_CRL_pop_free(material->crls, X509_CRL_free);
}

// An authority's older list must not replace the one in force: what was revoked since would be good again.
static enum error_code take_lists(const struct tls *tls, struct material *new, struct error *error) {
    if (tls->files[CRL] == NULL) {
        return OK;
    }
    enum error_code code =
        tls_lists_load(SSL_CTX_get_cert_store(new->context), tls->files[CRL], buf_slice(&new->pem[CRL]), &new->crls, error);
    new->ends.crl = tls_lists_due(new->crls);
    bool other = tls->now.context != NULL && !slice_equal(buf_slice(&new->pem[CRL]), buf_slice(&tls->now.pem[CRL]));
    if (code == OK && other && new->ends.crl <= time(NULL)) {
        code = error_set(error, ERR_INVALID, "a list in %s is overdue: another one has been due for %" PRId64 " s",
                         tls->files[CRL], (int64_t)time(NULL) - new->ends.crl);
    }
    return code;
}

static enum error_code load(const struct tls *tls, struct material *new, struct error *error) {
    ERR_clear_error();
    new->context = new_context();
    enum error_code code = new->context == NULL ? error_set(error, ERR_NO_MEMORY, "no memory for TLS") : OK;
    for (size_t i = 0; code == OK && i < FILE_COUNT && tls->files[i] != NULL; i++) {
        code = read_file(tls->files[i], &new->pem[i], error);
    }
    if (code == OK) {
        code = take_certificates(new->context, tls->files[CERT], &new->pem[CERT], &new->ends.cert, error);
    }
    if (code == OK) {
        code = take_key(new->context, tls->files[KEY], &new->pem[KEY], error);
    }
    if (code == OK) {
        code = check_secret(tls->files[KEY], error);
    }
    if (code == OK) {
        code = take_authorities(new->context, tls->files[CA], &new->pem[CA], &new->ends.ca, error);
    }
    if (code == OK) {
        code = take_lists(tls, new, error);
    }
    if (code == OK) {
        code = check_chain(new->context, tls->files[CERT], tls->files[CA], &new->revoked, error);
    }
    if (code == OK) {
        code = check_identity(tls, new, error);
    }
    ERR_clear_error();
    return code;
}

// --- changes ---

// A missing file has a stamp of zeros, like one that is not named.
static void look(const struct tls *tls, struct stamp stamps[FILE_COUNT]) {
    for (size_t i = 0; i < FILE_COUNT; i++) {
        struct stat found = {0};
        bool there = tls->files[i] != NULL && stat(tls->files[i], &found) == 0;
        stamps[i] = (struct stamp){0};
        if (there) {
            stamps[i] = (struct stamp){.changed = found.st_ctim, .inode = found.st_ino, .size = found.st_size};
        }
    }
}

static bool stamps_equal(const struct stamp *a, const struct stamp *b) {
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (a[i].changed.tv_sec != b[i].changed.tv_sec || a[i].changed.tv_nsec != b[i].changed.tv_nsec ||
            a[i].inode != b[i].inode || a[i].size != b[i].size) {
            return false;
        }
    }
    return true;
}

bool tls_files_changed(struct tls *tls) {
    struct stamp now[FILE_COUNT];
    look(tls, now);
    bool settled = stamps_equal(now, tls->seen);
    memcpy(tls->seen, now, sizeof now);
    return settled && !stamps_equal(now, tls->read);
}

enum error_code tls_reload(struct tls *tls, struct error *error) {
    look(tls, tls->read);
    memcpy(tls->seen, tls->read, sizeof tls->seen);
    struct material new = {0};
    enum error_code code = load(tls, &new, error);
    if (code != OK) {
        material_free(&new);
        return code;
    }
    assert(new.context != NULL &&identity_valid(new.identity, strlen(new.identity)));
    material_free(&tls->now);
    tls->now = new;
    return OK;
}

enum error_code tls_files_check(const struct tls_files *files, bool required, bool *given, struct error *error) {
    const char *missing = files->cert == NULL  ? "--tls-cert"
                          : files->key == NULL ? "--tls-key"
                          : files->ca == NULL  ? "--tls-ca"
                                               : NULL;
    *given = missing == NULL;
    bool none = files->cert == NULL && files->key == NULL && files->ca == NULL;
    if (none && required) {
        return error_set(error, ERR_INVALID, "--tls-required forbids plaintext; give --tls-cert, --tls-key and --tls-ca");
    }
    if (missing != NULL && !none) {
        return error_set(error, ERR_INVALID, "--tls-cert, --tls-key and --tls-ca go together; %s is missing", missing);
    }
    if (none && files->crl != NULL) {
        return error_set(error, ERR_INVALID, "--tls-crl revokes certificates; give --tls-cert, --tls-key and --tls-ca, too");
    }
    return OK;
}

enum error_code tls_new(const struct tls_files *files, const char *identity, struct tls **out, struct error *error) {
    struct tls *tls = mem_zalloc(sizeof *tls);
    tls->files[CERT] = files->cert;
    tls->files[KEY] = files->key;
    tls->files[CA] = files->ca;
    tls->files[CRL] = files->crl;
    tls->expected = identity;
    enum error_code code = tls_reload(tls, error);
    if (code != OK) {
        free(tls);
        return code;
    }
    *out = tls;
    return OK;
}

void tls_free(struct tls *tls) {
    material_free(&tls->now);
    free(tls);
}

SSL_CTX *tls_context(const struct tls *tls) {
    assert(tls->now.context != NULL);
    return tls->now.context;
}

const char *tls_identity(const struct tls *tls) {
    return tls->now.identity;
}

const char *tls_expiry(const struct tls *tls) {
    return tls->now.expiry;
}

bool tls_expired(const struct tls *tls) {
    return X509_cmp_current_time(X509_get0_notAfter(SSL_CTX_get0_certificate(tls->now.context))) < 0;
}

struct slice tls_cert_pem(const struct tls *tls) {
    return buf_slice(&tls->now.pem[CERT]);
}

struct slice tls_key_pem(const struct tls *tls) {
    return buf_slice(&tls->now.pem[KEY]);
}

bool tls_revoked(const struct tls *tls) {
    return tls->now.revoked;
}

struct tls_ends tls_ends(const struct tls *tls) {
    return tls->now.ends;
}

size_t tls_revoked_count(const struct tls *tls) {
    return tls_lists_count(tls->now.crls);
}

bool tls_revokes(const struct tls *tls, const STACK_OF(X509) * chain) {
    return tls_lists_revoke(tls->now.crls, chain);
}
