// What the room's two files share: the context behind struct tls, and reading identities out of certificates.
#ifndef BATON_TLS_INTERNAL_H
#define BATON_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "tls/tls.h"

// OpenSSL's context as the files now have it. A session holds a reference to the one it began with.
SSL_CTX *tls_context(const struct tls *tls);

// OpenSSL's callback on a server: picks the session's protocol.
int tls_choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                        unsigned in_len, void *user);

// Whom a certificate names. False: nobody, or more than one.
bool tls_identity_of(X509 *cert, char identity[TLS_IDENTITY_MAX + 1]);

// Of a certificate's end of life; "" if it is unreadable.
void tls_time_text(const ASN1_TIME *time, char text[32]);

#endif
