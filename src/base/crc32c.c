// CRC-32C by libisal, which uses the processor's instructions where there are any.
#include "base/crc32c.h"

#include <limits.h>

#include <isa-l/crc.h>

// The register starts as all ones and the result is inverted (RFC 3720, appendix B.4): a finished checksum inverted is the
// register it came from, which is how one goes on from it; 0 gives the initial register.
uint32_t crc32c(uint32_t crc, const void *data, size_t len) {
    unsigned char *at = (unsigned char *)data;  // libisal only reads, though its prototype does not say so
    uint32_t reg = ~crc;
    while (len > 0) {
        int part = len > INT_MAX ? INT_MAX : (int)len;
        reg = crc32_iscsi(at, part, reg);
        at += part;
        len -= (size_t)part;
    }
    return ~reg;
}
