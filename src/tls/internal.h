// Internals shared by context.c and session.c: the context of a struct tls, and identities in certificates.
#ifndef BATON_TLS_INTERNAL_H
#define BATON_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "tls/tls.h"

// OpenSSL's context, made from the files as last loaded. A session holds a reference to the one it began with.
SSL_CTX *tls_context(const struct tls *tls);

// OpenSSL's ALPN callback of a server: selects the session's protocol.
int tls_choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                        unsigned in_len, void *user);

// The identity in a certificate. False: none, or more than one.
bool tls_identity_of(X509 *cert, char identity[TLS_IDENTITY_MAX + 1]);

// Formats the time; "" if it is malformed.
void tls_time_text(const ASN1_TIME *time, char text[32]);

#endif
