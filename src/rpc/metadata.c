// Parsing and formatting as in gRPC's PROTOCOL-HTTP2.md, statuscodes.md and http-grpc-status-mapping.md.
#include "rpc/metadata.h"

#include <assert.h>

#include <nghttp2/nghttp2.h>

#include "base/array.h"
#include "base/limits.h"

// --- metadata: each entry is the lengths of key and value, then both ---

struct lengths {
    uint32_t key;
    uint32_t value;
};

void rpc_metadata_add(struct rpc_metadata *metadata, struct slice key, struct slice value) {
    struct lengths lengths = {.key = (uint32_t)key.len, .value = (uint32_t)value.len};
    buf_append(&metadata->bytes, &lengths, sizeof lengths);
    buf_append_slice(&metadata->bytes, key);
    buf_append_slice(&metadata->bytes, value);
}

bool rpc_metadata_next(const struct rpc_metadata *metadata, size_t *at, struct slice *key, struct slice *value) {
    if (*at == metadata->bytes.len) {
        return false;
    }
    struct lengths lengths;
    assert(*at + sizeof lengths <= metadata->bytes.len);
    memcpy(&lengths, metadata->bytes.data + *at, sizeof lengths);
    *key = slice_of(metadata->bytes.data + *at + sizeof lengths, lengths.key);
    *value = slice_of(key->data + key->len, lengths.value);
    *at += sizeof lengths + lengths.key + lengths.value;
    assert(*at <= metadata->bytes.len);
    return true;
}

struct slice rpc_metadata_get(const struct rpc_metadata *metadata, struct slice key) {
    size_t at = 0;
    struct slice other, value;
    while (rpc_metadata_next(metadata, &at, &other, &value)) {
        if (slice_equal(other, key)) {
            return value;
        }
    }
    return (struct slice){0};
}

void rpc_metadata_clear(struct rpc_metadata *metadata) {
    if (metadata->bytes.cap > KIB) {
        buf_free(&metadata->bytes);
    }
    buf_clear(&metadata->bytes);
}

void rpc_metadata_free(struct rpc_metadata *metadata) {
    buf_free(&metadata->bytes);
}

// --- timeouts ---

bool rpc_timeout_parse(struct slice text, uint64_t *ms) {
    if (text.len < 2 || text.len > 9) {
        return false;
    }
    uint64_t number = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    switch (text.data[text.len - 1]) {
    case 'H':
        *ms = number * 3600 * 1000;
        return true;
    case 'M':
        *ms = number * 60 * 1000;
        return true;
    case 'S':
        *ms = number * 1000;
        return true;
    case 'm':
        *ms = number;
        return true;
    case 'u':
        *ms = (number + 999) / 1000;
        return true;
    case 'n':
        *ms = (number + 999999) / 1000000;
        return true;
    default:
        return false;
    }
}

size_t rpc_timeout_format(char text[RPC_TIMEOUT_TEXT], uint64_t ms) {
    static const struct {
        char unit;
        uint64_t ms;
    } units[] = {{'m', 1}, {'S', 1000}, {'M', 60 * 1000}, {'H', 3600 * 1000}};
    const uint64_t largest = 99999999;
    uint64_t number = largest;
    char unit = 'H';
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        uint64_t rounded = ms / units[i].ms + (ms % units[i].ms != 0);
        if (rounded <= largest) {
            number = rounded;
            unit = units[i].unit;
            break;
        }
    }
    char digits[8];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    for (size_t i = 0; i < count; i++) {
        text[i] = digits[count - 1 - i];
    }
    text[count] = unit;
    return count + 1;
}

// --- percent encoding ---

void rpc_percent_encode(struct buf *out, struct slice text) {
    static const char digits[] = "0123456789ABCDEF";
    uint8_t *to = buf_reserve(out, text.len * 3);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
            *to++ = byte;
        } else {
            *to++ = '%';
            *to++ = (uint8_t)digits[byte >> 4];
            *to++ = (uint8_t)digits[byte & 15];
        }
    }
    out->len = (size_t)(to - out->data);
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void rpc_percent_decode(struct buf *out, struct slice text) {
    uint8_t *to = buf_reserve(out, text.len);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '%' && i + 2 < text.len && hex_digit(text.data[i + 1]) >= 0 &&
            hex_digit(text.data[i + 2]) >= 0) {
            *to++ = (uint8_t)(hex_digit(text.data[i + 1]) << 4 | hex_digit(text.data[i + 2]));
            i += 2;
        } else {
            *to++ = text.data[i];
        }
    }
    out->len = (size_t)(to - out->data);
}

// --- statuses ---

const char *rpc_status_name(enum rpc_status status) {
    switch (status) {
#define X(code, number, text)                                                                                               \
    case code:                                                                                                              \
        return text;
        RPC_STATUSES(X)
#undef X
    default:
        return "UNKNOWN";
    }
}

enum rpc_status rpc_status_parse(struct slice text) {
    if (text.len == 0 || text.len > 2) {
        return RPC_UNKNOWN;
    }
    int number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return RPC_UNKNOWN;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    return number < RPC_STATUS_COUNT ? (enum rpc_status)number : RPC_UNKNOWN;
}

enum rpc_status rpc_status_of_http(int http_status) {
    switch (http_status) {
    case 400:
        return RPC_INTERNAL;
    case 401:
        return RPC_UNAUTHENTICATED;
    case 403:
        return RPC_PERMISSION_DENIED;
    case 404:
        return RPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return RPC_UNAVAILABLE;
    default:
        return RPC_UNKNOWN;
    }
}

enum rpc_status rpc_status_of_reset(uint32_t error_code) {
    switch (error_code) {
    case NGHTTP2_REFUSED_STREAM:
        return RPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return RPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return RPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return RPC_PERMISSION_DENIED;
    default:
        return RPC_INTERNAL;
    }
}
