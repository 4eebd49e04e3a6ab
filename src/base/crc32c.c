// CRC-32C by libisal, which uses the processor's instructions for it, if there are any.
#include "base/crc32c.h"

#include <limits.h>

#include <isa-l/crc.h>

// The register starts as all ones and the result is inverted (RFC 3720, appendix B.4), so that inverting a checksum gives
// the register to continue from, and inverting 0 the initial one.
uint32_t crc32c(uint32_t crc, const void *data, size_t len) {
    unsigned char *at = (unsigned char *)data;  // libisal only reads; its prototype lacks a const
    uint32_t reg = ~crc;
    while (len > 0) {
        int part = len > INT_MAX ? INT_MAX : (int)len;
        reg = crc32_iscsi(at, part, reg);
        at += part;
        len -= (size_t)part;
    }
    return ~reg;
}
