// Checks of untrusted text. They take slices, not C strings, so that a NUL inside is seen and refused.
#include "base/ids.h"

#include "base/limits.h"

static bool is_id_byte(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool id_bytes_only(struct slice s) {
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
    if (!id_bytes_only(id)) {
        return error_set(error, ERR_INVALID, "%s has a character that is not allowed; use A-Z a-z 0-9 . _ -", field);
    }
    return OK;
}

enum error_code cloud_check(struct slice cloud, const char *field, struct error *error) {
    bool fits = cloud.len >= 1 && cloud.len <= CLOUD_MAX;
    for (size_t i = 0; fits && i < cloud.len; i++) {
        uint8_t c = cloud.data[i];
        fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    return fits ? OK
                : error_set(error, ERR_INVALID, "%s is not a cloud tag; give 1 to %d characters of a-z 0-9 -, such as gcp",
                            field, CLOUD_MAX);
}

enum error_code worker_cloud_check(struct slice cloud, const char *field, struct error *error) {
    if (slice_equal(cloud, slice_of_str("aws")) || slice_equal(cloud, slice_of_str("gcp"))) {
        return OK;
    }
    return error_set(error, ERR_INVALID, "%s is neither \"aws\" nor \"gcp\"", field);
}

// RFC 3629, section 4: the second byte's range excludes overlong forms, surrogates and code points above U+10FFFF.
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
