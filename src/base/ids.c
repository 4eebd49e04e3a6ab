// Checks of text from outside, on the raw bytes: a NUL or a quote inside is seen, never cut or passed on.
#include "base/ids.h"

#include <arpa/inet.h>

#include "base/limits.h"

enum { HOST_MAX = 253 };

static bool is_id_byte(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static bool all_id_bytes(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (!is_id_byte(s.data[i])) {
            return false;
        }
    }
    return true;
}

enum error_code id_check(struct slice id, const char *field, struct error *error) {
    if (id.len == 0) {
        return error_set(error, ERR_INVALID, "%s is empty; give 1 to %d characters of A-Z a-z 0-9 . _ -", field, ID_MAX);
    }
    if (id.len > ID_MAX) {
        return error_set(error, ERR_INVALID, "%s has %zu bytes; at most %d are allowed", field, id.len, ID_MAX);
    }
    if (!all_id_bytes(id)) {
        return error_set(error, ERR_INVALID, "%s has a character that is not allowed; use A-Z a-z 0-9 . _ -", field);
    }
    return OK;
}

static bool port_valid(struct slice port) {
    if (port.len < 1 || port.len > 5 || port.data[0] == '0') {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 0; i < port.len; i++) {
        if (port.data[i] < '0' || port.data[i] > '9') {
            return false;
        }
        value = value * 10 + (port.data[i] - (unsigned)'0');
    }
    return value <= 65535;
}

static bool host_valid(struct slice host) {
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']') {
        char text[INET6_ADDRSTRLEN];
        size_t len = host.len - 2;
        if (len >= sizeof text || memchr(host.data, '\0', host.len) != NULL) {
            return false;
        }
        memcpy(text, host.data + 1, len);
        text[len] = '\0';
        struct in6_addr parsed;
        return inet_pton(AF_INET6, text, &parsed) == 1;
    }
    return host.len >= 1 && host.len <= HOST_MAX && all_id_bytes(host);
}

enum error_code address_check(struct slice address, const char *field, struct error *error) {
    if (address.len == 0) {
        return error_set(error, ERR_INVALID, "%s is empty; give HOST:PORT", field);
    }
    if (address.len > ADDRESS_MAX) {
        return error_set(error, ERR_INVALID, "%s has %zu bytes; at most %d are allowed", field, address.len, ADDRESS_MAX);
    }
    const uint8_t *colon = memrchr(address.data, ':', address.len);
    if (colon == NULL) {
        return error_set(error, ERR_INVALID, "%s has no port; give HOST:PORT", field);
    }
    size_t host_len = (size_t)(colon - address.data);
    if (!host_valid(slice_of(address.data, host_len))) {
        return error_set(error, ERR_INVALID, "%s has no valid host; give a name, an IPv4 address or [an IPv6 address]",
                         field);
    }
    if (!port_valid(slice_of(colon + 1, address.len - host_len - 1))) {
        return error_set(error, ERR_INVALID, "%s has no valid port; give one of 1 to 65535", field);
    }
    return OK;
}

enum error_code cloud_check(struct slice cloud, const char *field, struct error *error) {
    if (slice_equal(cloud, slice_of_str("aws")) || slice_equal(cloud, slice_of_str("gcp"))) {
        return OK;
    }
    return error_set(error, ERR_INVALID, "%s is neither \"aws\" nor \"gcp\"", field);
}

// RFC 3629, section 4: the second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
size_t utf8_sequence(struct slice s) {
    if (s.len == 0) {
        return 0;
    }
    uint8_t first = s.data[0];
    if (first < 0x80) {
        return 1;
    }
    size_t len = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (len == 0 || s.len < len) {
        return 0;
    }
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (s.data[1] < low || s.data[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((s.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

bool utf8_valid(struct slice text) {
    for (size_t at = 0; at < text.len;) {
        size_t len = utf8_sequence(slice_of(text.data + at, text.len - at));
        if (len == 0 || text.data[at] == '\0') {
            return false;
        }
        at += len;
    }
    return true;
}
