// Base64 with padding (RFC 4648, section 4). Decoding is strict: only the canonical encoding is accepted.
#ifndef BATON_BASE_BASE64_H
#define BATON_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

static inline size_t base64_encoded_len(size_t len) {
    return (len + 2) / 3 * 4;
}

// Writes base64_encoded_len(len) characters, no NUL; returns their number.
size_t base64_encode(char *out, const void *data, size_t len);

// Writes at most len / 4 * 3 bytes; returns how many, or -1 if the text is not strict base64.
ssize_t base64_decode(uint8_t *out, const char *text, size_t len);

#endif
