// Base64 for the middle of long data, 32 characters at a time where the processor has AVX2; base64.c does the rest.
#ifndef BATON_BASE_BASE64_VECTOR_H
#define BATON_BASE_BASE64_VECTOR_H

#include <stddef.h>
#include <stdint.h>

// Encodes a beginning of `data`, a multiple of three bytes, and returns how long it is: 0 where the processor cannot. All
// that may be left is less than 28 bytes. Writes four characters for each three bytes, and nothing behind them.
size_t base64_encode_vector(char *out, const uint8_t *data, size_t len);

// Decodes a beginning of `text`, a multiple of four characters, and returns how long it is: 0 where the processor cannot. It
// ends before the group of 32 that has a character outside the alphabet, and before the last 16 to 47 of all. May write up
// to eight bytes behind those that it decodes, which is never behind what the whole of a valid text decodes to.
size_t base64_decode_vector(uint8_t *out, const char *text, size_t len);

#endif
