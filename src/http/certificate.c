// TLS on the HTTP port. libmicrohttpd speaks it by GnuTLS, which is given the certificate that src/tls has read.
#include <assert.h>

#include "http/server.h"
#include "tls/tls.h"

enum { CHAIN_MAX = 8 };  // certificates in our file: the node's own and intermediate ones

const char certificate_priorities[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:+AES-256-GCM:"
                                      "+AES-128-GCM:+CHACHA20-POLY1305";

int certificate_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **certs,
                         unsigned *cert_count, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_count, gnutls_privkey_t *key,
                         unsigned *flags) {
    (void)info;
    assert(connection_of(gnutls_session_get_ptr(session)) != NULL);
    const struct tls *tls = connection_of(gnutls_session_get_ptr(session))->server->tls;
    struct slice cert_pem = tls_cert_pem(tls);
    struct slice key_pem = tls_key_pem(tls);
    gnutls_datum_t cert_text = {(uint8_t *)(uintptr_t)cert_pem.data, (unsigned)cert_pem.len};
    gnutls_datum_t key_text = {(uint8_t *)(uintptr_t)key_pem.data, (unsigned)key_pem.len};
    *ocsp = NULL;
    *ocsp_count = 0;
    *cert_count = CHAIN_MAX;
    *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    *certs = gnutls_calloc(CHAIN_MAX, sizeof **certs);
    if (*certs == NULL || gnutls_privkey_init(key) != 0) {
        gnutls_free(*certs);
        return -1;
    }
    if (gnutls_pcert_list_import_x509_raw(*certs, cert_count, &cert_text, GNUTLS_X509_FMT_PEM, 0) != 0 ||
        gnutls_privkey_import_x509_raw(*key, &key_text, GNUTLS_X509_FMT_PEM, NULL, 0) != 0) {
        gnutls_privkey_deinit(*key);
        gnutls_free(*certs);
        return -1;
    }
    return 0;
}
