// Revocation lists (RFC 5280, section 5): read with the certificates, checked with each handshake, and asked about sessions
// that run when newer lists are read.
//
// The whole chain is checked, and each trusted authority must have a list: one without would have all its certificates
// refused. A list in force that is past its next update stays in force, here and in session.c: what it revokes stays
// revoked, and nobody is refused for its age. Otherwise an authority that is down for long would end all connections between
// nodes. Nor is anybody refused because this machine's clock is behind the authority's.
#include <openssl/err.h>
#include <openssl/pem.h>

#include "tls/internal.h"

// The authority in the store of whose name and key the list is. *named: one has its name.
static bool signed_by_authority(X509_STORE *store, X509_CRL *crl, bool *named) {
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    *named = false;
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        if (authority != NULL && X509_NAME_cmp(X509_get_subject_name(authority), X509_CRL_get_issuer(crl)) == 0) {
            *named = true;
            if (X509_CRL_verify(crl, X509_get0_pubkey(authority)) == 1) {
                return true;
            }
        }
    }
    return false;
}

static enum error_code check_list(X509_STORE *store, X509_CRL *crl, const char *name, struct error *error) {
    char issuer[128] = "";
    bool named;
    X509_NAME_oneline(X509_CRL_get_issuer(crl), issuer, sizeof issuer);
    if (!signed_by_authority(store, crl, &named) && named) {
        return error_set(error, ERR_INVALID, "the list of %s in %s is not signed with that authority's key", issuer, name);
    }
    if (tls_time_of(X509_CRL_get0_nextUpdate(crl)) == 0) {
        return error_set(error, ERR_INVALID, "the list of %s in %s does not say when the next one is due", issuer, name);
    }
    return OK;
}

static bool has_list(const STACK_OF(X509_CRL) * crls, const X509 *authority) {
    for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
        if (X509_NAME_cmp(X509_CRL_get_issuer(sk_X509_CRL_value(crls, i)), X509_get_subject_name(authority)) == 0) {
            return true;
        }
    }
    return false;
}

static enum error_code check_all_have_lists(X509_STORE *store, const STACK_OF(X509_CRL) * crls, const char *name,
                                            struct error *error) {
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
        X509 *authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        if (authority != NULL && !has_list(crls, authority)) {
            char subject[128] = "";
            X509_NAME_oneline(X509_get_subject_name(authority), subject, sizeof subject);
            return error_set(error, ERR_INVALID,
                             "%s holds no list of the authority %s, all of whose certificates would be refused", name,
                             subject);
        }
    }
    return OK;
}

// Reads all lists of a file. False: there is none, or one that cannot be read.
static bool read_lists(struct slice pem, STACK_OF(X509_CRL) * crls) {
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509_CRL *crl;
    bool good = bio != NULL;
    while (good && (crl = PEM_read_bio_X509_CRL(bio, NULL, tls_no_passphrase, NULL)) != NULL) {
        good = sk_X509_CRL_push(crls, crl) > 0;
    }
    unsigned long end = ERR_peek_last_error();
    good = good && ERR_GET_LIB(end) == ERR_LIB_PEM && ERR_GET_REASON(end) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    return good && sk_X509_CRL_num(crls) > 0;
}

enum error_code tls_lists_load(X509_STORE *store, const char *name, struct slice pem, STACK_OF(X509_CRL) * *crls,
                               struct error *error) {
    ERR_clear_error();
    *crls = sk_X509_CRL_new_null();
    if (*crls == NULL || !read_lists(pem, *crls)) {
        return error_set(error, ERR_INVALID, "%s holds no usable list of revoked certificates (PEM, X509 CRL)", name);
    }
    for (int i = 0; i < sk_X509_CRL_num(*crls); i++) {
        enum error_code code = check_list(store, sk_X509_CRL_value(*crls, i), name, error);
        if (code != OK) {
            return code;
        }
        if (X509_STORE_add_crl(store, sk_X509_CRL_value(*crls, i)) != 1) {
            return error_set(error, ERR_NO_MEMORY, "no memory for the lists in %s", name);
        }
    }
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return check_all_have_lists(store, *crls, name, error);
}

int64_t tls_lists_due(const STACK_OF(X509_CRL) * crls) {
    int64_t due = 0;
    for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
        int64_t this = tls_time_of(X509_CRL_get0_nextUpdate(sk_X509_CRL_value(crls, i)));
        due = due == 0 || this < due ? this : due;
    }
    return due;
}

size_t tls_lists_count(const STACK_OF(X509_CRL) * crls) {
    size_t count = 0;
    for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
        int revoked = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(sk_X509_CRL_value(crls, i)));
        count += revoked > 0 ? (size_t)revoked : 0;
    }
    return count;
}

// Only a hit is worth checking a signature for: the authority's list was checked as it was read, an intermediate one's was
// not.
bool tls_lists_revoke(const STACK_OF(X509_CRL) * crls, const STACK_OF(X509) * chain) {
    for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
        X509 *cert = sk_X509_value(chain, i);
        for (int j = 0; j < sk_X509_CRL_num(crls); j++) {
            X509_CRL *crl = sk_X509_CRL_value(crls, j);
            X509_REVOKED *entry = NULL;
            if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(cert)) == 0 &&
                X509_CRL_get0_by_cert(crl, &entry, cert) == 1 &&
                X509_CRL_verify(crl, X509_get0_pubkey(sk_X509_value(chain, i + 1))) == 1) {
                return true;
            }
        }
    }
    ERR_clear_error();
    return false;
}
