// TLS without I/O: contexts made from a certificate, its key and the trusted authorities in files, and sessions that encrypt
// and decrypt. The caller moves the bytes, and decides what an identity may do.
//
// TLS 1.2 and 1.3, mutual, without resumption: each connection verifies the peer's certificate, and with revocation lists
// that no certificate of its chain is revoked. A list that has become overdue (its next update is past) stays in force.
//
// A peer's identity is in its certificate's subject alternative names, as exactly one URI baton://ROLE/NAME; the identity is
// "node/n1", "worker/w1", "workers/etl-*" (a fleet's: a star is allowed there alone, and only at the end), "operator/anna",
// "program/billing". A certificate with none, with several, or with another role is refused. Its DNS names and IP addresses
// are for other programs, such as browsers.
//
// Not thread-safe.
#ifndef BATON_TLS_TLS_H
#define BATON_TLS_TLS_H

#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"

enum { TLS_IDENTITY_MAX = sizeof "operator/" - 1 + ID_MAX };
static_assert(sizeof "workers/" - 1 + ID_MAX + 1 <= TLS_IDENTITY_MAX, "a fleet's has a star behind its name");

struct tls_files {
    const char *cert;  // PEM: our certificate, then intermediate ones
    const char *key;   // PEM, without a passphrase
    const char *ca;    // PEM: the trusted authorities
    const char *crl;   // PEM: a revocation list of each authority; NULL: nothing is revoked
};

// Sets *given to whether all files are named. ERR_INVALID, in terms of the flags --tls-cert, --tls-key and --tls-ca: only
// some are, or none is though --tls-required is set.
enum error_code tls_files_check(const struct tls_files *files, bool required, bool *given, struct error *error);

struct tls;

// Loads the files, whose names are borrowed until tls_free. The certificate must have `identity` (borrowed likewise; NULL:
// any). ERR_INVALID: the message names the file and what is wrong with it. Accepted are an expired certificate of ours
// (tls_expired), a revoked one (tls_revoked), and an overdue list.
enum error_code tls_new(const struct tls_files *files, const char *identity, struct tls **tls, struct error *error);

// Its sessions may outlive it.
void tls_free(struct tls *tls);

// Loads the files again, for new sessions; running ones are not affected, but see tls_session_revoked. An error (as tls_new,
// and for an overdue list other than the one in force) changes nothing.
enum error_code tls_reload(struct tls *tls, struct error *error);

// Whether the files differ from when they were last loaded (or failed to), and have not changed since the last call: several
// files are not replaced at once. To be called once a second.
bool tls_files_changed(struct tls *tls);

// Our certificate's identity, its end of validity ("Nov 23 06:00:00 2026 GMT"), whether it has expired, and whether the
// lists revoke it or one above it. Until the next tls_reload.
const char *tls_identity(const struct tls *tls);
const char *tls_expiry(const struct tls *tls);
bool tls_expired(const struct tls *tls);
bool tls_revoked(const struct tls *tls);

// Until when what was loaded is good, in Unix time.
struct tls_ends {
    int64_t cert;  // the first to expire of our certificate and those that follow it
    int64_t ca;    // of the authorities
    int64_t crl;   // the first next update of the lists; 0: there are none
};

struct tls_ends tls_ends(const struct tls *tls);

// How many certificates the lists revoke.
size_t tls_revoked_count(const struct tls *tls);

// The content of the certificate's and the key's files as last loaded. Until the next tls_reload.
struct slice tls_cert_pem(const struct tls *tls);
struct slice tls_key_pem(const struct tls *tls);

// --- sessions ---

enum tls_side { TLS_SERVER, TLS_CLIENT };

struct tls_session;

// `protocol` must be agreed on by ALPN ("h2"; at most 15 bytes); NULL: no ALPN. A client accepts only nodes: the one with
// the identity `peer`, or any if that is NULL. `protocol` and `peer` are borrowed. NULL: no memory.
struct tls_session *tls_session_new(struct tls *tls, enum tls_side side, const char *protocol, const char *peer);

void tls_session_free(struct tls_session *session);

enum tls_read {
    TLS_READ,       // *len bytes, at least one
    TLS_READ_MORE,  // all input is consumed
    TLS_READ_END,   // close_notify was received
    TLS_READ_FAILED,
};

// Gives the session received bytes, borrowed until tls_session_read returns anything but TLS_READ.
void tls_session_feed(struct tls_session *session, struct slice bytes);

// Continues the handshake and decrypts up to `size` bytes. Afterwards there may be output, also after a failure: an alert.
enum tls_read tls_session_read(struct tls_session *session, uint8_t *to, size_t size, size_t *len);

// Begins a client's handshake: its first message is output.
void tls_session_start(struct tls_session *session);

// Encrypts, once the session is ready. False: the session has failed.
bool tls_session_write(struct tls_session *session, struct slice bytes);

// Outputs close_notify, if the session is ready and has not failed.
void tls_session_end(struct tls_session *session);

// The bytes to send to the peer, until tls_session_sent discards them.
struct slice tls_session_output(const struct tls_session *session);
void tls_session_sent(struct tls_session *session);

// Whether the handshake is complete and the peer accepted; stays true after a failure. True before tls_session_read gives
// the first byte.
bool tls_session_ready(const struct tls_session *session);

// The peer's identity; NULL until ready.
const char *tls_session_identity(const struct tls_session *session);

// For a session that was begun before the last tls_reload of `tls`: whether the peer's certificate is revoked now, or one
// above it. True as well during the handshake, which would end by the old lists.
bool tls_session_revoked(const struct tls_session *session, const struct tls *tls);

// Whether what a client received was not TLS: the server speaks none.
bool tls_session_found_plain(const struct tls_session *session);

// Why the session failed, for people: what we refuse, or the peer's alert. NULL: it has not.
const char *tls_session_failure(const struct tls_session *session);

#endif
