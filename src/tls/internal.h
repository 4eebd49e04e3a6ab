// Internals shared by the files here: the context of a struct tls, identities in certificates, and revocation lists.
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

// Unix time; 0 if it is NULL or malformed.
int64_t tls_time_of(const ASN1_TIME *time);

// OpenSSL's callback: there is no passphrase. Its default asks at the terminal.
int tls_no_passphrase(char *text, int size, int writing, void *user);

// --- revocation.c ---

// Reads the lists from the content of the file `name` into *crls, which the caller frees also after an error, and has the
// store check all certificates against them. The store has all authorities already.
enum error_code tls_lists_load(X509_STORE *store, const char *name, struct slice pem, STACK_OF(X509_CRL) * *crls,
                               struct error *error);

// The first next update, in Unix time; 0: there are no lists. NULL is none, here and below.
int64_t tls_lists_due(const STACK_OF(X509_CRL) * crls);

// How many certificates are revoked.
size_t tls_lists_count(const STACK_OF(X509_CRL) * crls);

// Whether one of the chain's certificates is revoked. The chain has been verified, and ends with an authority.
bool tls_lists_revoke(const STACK_OF(X509_CRL) * crls, const STACK_OF(X509) * chain);

// Whether the lists in force revoke one of the chain's certificates.
bool tls_revokes(const struct tls *tls, const STACK_OF(X509) * chain);

#endif
