// CRC-32C (Castagnoli), as in iSCSI: crc32c("123456789") is e3069283.
#ifndef BATON_BASE_CRC32C_H
#define BATON_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

// Extends `crc`, the checksum of the preceding bytes (0: none), by `data`.
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
