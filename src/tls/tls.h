// TLS without any I/O: a certificate, its key and the authorities from files, and sessions that turn bytes of the wire into
// bytes of the program and back. Sockets are somebody else's; so are the rules about who may do what.
//
// TLS 1.2 and 1.3, always mutual where both sides are ours, never resumed: each connection proves its certificate anew.
//
// Who somebody is stands in the certificate's subject alternative names as one URI, baton://ROLE/NAME. The identity is what
// is behind the slashes: "node/n1", "worker/w1", "operator/anna". A certificate without exactly one such URI, or with
// another role, is refused. Names and addresses of machines in it are for programs that are not ours, such as browsers.
//
// One thread.
#ifndef BATON_TLS_TLS_H
#define BATON_TLS_TLS_H

#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"

enum { TLS_IDENTITY_MAX = sizeof "operator/" - 1 + ID_MAX };

struct tls_files {
    const char *cert;  // PEM: ours, then the intermediate ones
    const char *key;   // PEM, without a passphrase
    const char *ca;    // PEM: whose certificates are believed
};

// Whether all files are named (*given) or none. ERR_INVALID, in terms of the flags --tls-cert, --tls-key and --tls-ca: some
// are missing, or all are and --tls-required is on.
enum error_code tls_files_check(const struct tls_files *files, bool required, bool *given, struct error *error);

struct tls;

// Reads the files, whose names must live on. `identity` (borrowed) is whom the certificate must name; NULL: anybody.
// ERR_INVALID: the message names the file and what is wrong with it. A certificate that has expired is not refused: see
// tls_expired.
enum error_code tls_new(const struct tls_files *files, const char *identity, struct tls **tls, struct error *error);
void tls_free(struct tls *tls);

// Reads the files again, for the sessions to come; those that run go on. An error changes nothing.
enum error_code tls_reload(struct tls *tls, struct error *error);

// Whether the files have changed since they were last read (or tried), and have been left alone since this was asked
// before: whoever replaces three files does so one after the other. Ask once a second.
bool tls_files_changed(struct tls *tls);

// Whom our certificate names, until when it is good ("Nov 23 06:00:00 2026 GMT"), and whether that is over.
const char *tls_identity(const struct tls *tls);
const char *tls_expiry(const struct tls *tls);
bool tls_expired(const struct tls *tls);

// The certificate's and the key's files as last read; until the next tls_reload.
struct slice tls_cert_pem(const struct tls *tls);
struct slice tls_key_pem(const struct tls *tls);

// --- sessions ---

enum tls_side { TLS_SERVER, TLS_CLIENT };

struct tls_session;

// `protocol` is what both sides must agree on by ALPN ("h2"); NULL: nothing. A client speaks to nodes only: to the one of
// that identity, or to any if `peer` is NULL. `protocol` and `peer` are borrowed. NULL: no memory. It may outlive `tls`.
struct tls_session *tls_session_new(struct tls *tls, enum tls_side side, const char *protocol, const char *peer);
void tls_session_free(struct tls_session *session);

enum tls_read {
    TLS_READ,       // *len bytes, at least one
    TLS_READ_MORE,  // all input is used up
    TLS_READ_END,   // the peer has said goodbye
    TLS_READ_FAILED,
};

// What has come off the wire, borrowed until the session has been read to its end (anything but TLS_READ).
void tls_session_feed(struct tls_session *session, struct slice bytes);

// Decrypts; also carries the handshake on. Afterwards there may be output, after a failure too: what to tell the peer.
enum tls_read tls_session_read(struct tls_session *session, uint8_t *to, size_t size, size_t *len);

// Begins a client's handshake, by output.
void tls_session_start(struct tls_session *session);

// Encrypts, once it is ready. False: failed.
bool tls_session_write(struct tls_session *session, struct slice bytes);

// Says goodbye, if there is anybody to say it to.
void tls_session_end(struct tls_session *session);

// What is to go onto the wire; tls_session_sent forgets it.
struct slice tls_session_output(const struct tls_session *session);
void tls_session_sent(struct tls_session *session);

// The handshake was completed, and the peer is who it should be; stays so after a later failure. True before
// tls_session_read gives the first byte.
bool tls_session_ready(const struct tls_session *session);

// Whom the peer's certificate names; NULL until ready.
const char *tls_session_identity(const struct tls_session *session);

// Why it failed, for people: what we refuse, or what the peer says it refuses. NULL: it has not.
const char *tls_session_failure(const struct tls_session *session);

#endif
