// Base64 by lookup tables, for speed: every log entry's command is encoded when written and decoded at recovery. Where the
// processor can do more at once (base64_vector.h), the tables serve for short data and for ends.
#include "base/base64.h"

#include <endian.h>
#include <string.h>

#include "base/base64_vector.h"

// Twelve bits at a time: pairs[v] are the two characters of the 12-bit number v. Written out by the preprocessor, so that
// the 8 KiB are constant data.
// clang-format off
#define ROW(a) \
    {a, 'A'}, {a, 'B'}, {a, 'C'}, {a, 'D'}, {a, 'E'}, {a, 'F'}, {a, 'G'}, {a, 'H'}, \
    {a, 'I'}, {a, 'J'}, {a, 'K'}, {a, 'L'}, {a, 'M'}, {a, 'N'}, {a, 'O'}, {a, 'P'}, \
    {a, 'Q'}, {a, 'R'}, {a, 'S'}, {a, 'T'}, {a, 'U'}, {a, 'V'}, {a, 'W'}, {a, 'X'}, \
    {a, 'Y'}, {a, 'Z'}, {a, 'a'}, {a, 'b'}, {a, 'c'}, {a, 'd'}, {a, 'e'}, {a, 'f'}, \
    {a, 'g'}, {a, 'h'}, {a, 'i'}, {a, 'j'}, {a, 'k'}, {a, 'l'}, {a, 'm'}, {a, 'n'}, \
    {a, 'o'}, {a, 'p'}, {a, 'q'}, {a, 'r'}, {a, 's'}, {a, 't'}, {a, 'u'}, {a, 'v'}, \
    {a, 'w'}, {a, 'x'}, {a, 'y'}, {a, 'z'}, {a, '0'}, {a, '1'}, {a, '2'}, {a, '3'}, \
    {a, '4'}, {a, '5'}, {a, '6'}, {a, '7'}, {a, '8'}, {a, '9'}, {a, '+'}, {a, '/'},

static const char pairs[4096][2] = {
    ROW('A') ROW('B') ROW('C') ROW('D') ROW('E') ROW('F') ROW('G') ROW('H')
    ROW('I') ROW('J') ROW('K') ROW('L') ROW('M') ROW('N') ROW('O') ROW('P')
    ROW('Q') ROW('R') ROW('S') ROW('T') ROW('U') ROW('V') ROW('W') ROW('X')
    ROW('Y') ROW('Z') ROW('a') ROW('b') ROW('c') ROW('d') ROW('e') ROW('f')
    ROW('g') ROW('h') ROW('i') ROW('j') ROW('k') ROW('l') ROW('m') ROW('n')
    ROW('o') ROW('p') ROW('q') ROW('r') ROW('s') ROW('t') ROW('u') ROW('v')
    ROW('w') ROW('x') ROW('y') ROW('z') ROW('0') ROW('1') ROW('2') ROW('3')
    ROW('4') ROW('5') ROW('6') ROW('7') ROW('8') ROW('9') ROW('+') ROW('/')
};

// parts[k][c] is the character c as the k-th of four in 24 bits; INVALID for characters outside the alphabet, which no valid
// ones add up to.
#define INVALID 0x1000000u
#define INVALID_ROW(k) [k] = {[0 ... 255] = INVALID}
#define V(c, n) [0][c] = (n) << 18, [1][c] = (n) << 12, [2][c] = (n) << 6, [3][c] = (n)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"  // the valid ones take the place of INVALID
static const uint32_t parts[4][256] = {
    INVALID_ROW(0), INVALID_ROW(1), INVALID_ROW(2), INVALID_ROW(3),
    V('A', 0), V('B', 1), V('C', 2), V('D', 3), V('E', 4), V('F', 5), V('G', 6), V('H', 7),
    V('I', 8), V('J', 9), V('K', 10), V('L', 11), V('M', 12), V('N', 13), V('O', 14), V('P', 15),
    V('Q', 16), V('R', 17), V('S', 18), V('T', 19), V('U', 20), V('V', 21), V('W', 22), V('X', 23),
    V('Y', 24), V('Z', 25), V('a', 26), V('b', 27), V('c', 28), V('d', 29), V('e', 30), V('f', 31),
    V('g', 32), V('h', 33), V('i', 34), V('j', 35), V('k', 36), V('l', 37), V('m', 38), V('n', 39),
    V('o', 40), V('p', 41), V('q', 42), V('r', 43), V('s', 44), V('t', 45), V('u', 46), V('v', 47),
    V('w', 48), V('x', 49), V('y', 50), V('z', 51), V('0', 52), V('1', 53), V('2', 54), V('3', 55),
    V('4', 56), V('5', 57), V('6', 58), V('7', 59), V('8', 60), V('9', 61), V('+', 62), V('/', 63),
};
#pragma GCC diagnostic pop
// clang-format on

size_t base64_encode(char *out, const void *data, size_t len) {
    size_t done = base64_encode_vector(out, data, len);
    const uint8_t *in = (const uint8_t *)data + done;
    char *at = out + done / 3 * 4;
    for (len -= done; len >= 3; len -= 3, in += 3, at += 4) {
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        memcpy(at, pairs[bits >> 12], 2);
        memcpy(at + 2, pairs[bits & 4095], 2);
    }
    if (len > 0) {
        uint32_t bits = (uint32_t)in[0] << 16 | (len == 2 ? (uint32_t)in[1] << 8 : 0);
        memcpy(at, pairs[bits >> 12], 2);
        at[2] = len == 2 ? pairs[bits & 4095][0] : '=';
        at[3] = '=';
        at += 4;
    }
    return (size_t)(at - out);
}

// The 24 bits of four characters; INVALID or more if one is outside the alphabet.
static uint32_t decode_group(const char *text) {
    return parts[0][(uint8_t)text[0]] | parts[1][(uint8_t)text[1]] | parts[2][(uint8_t)text[2]] | parts[3][(uint8_t)text[3]];
}

// The last group, which may end in padding. The unused bits must be zero, or several texts would decode to the same bytes.
static ssize_t decode_last(uint8_t *out, const char *text) {
    size_t padding = text[3] != '=' ? 0 : text[2] != '=' ? 1 : 2;
    char group[4];
    memcpy(group, text, 4);
    memset(group + 4 - padding, 'A', padding);
    uint32_t bits = decode_group(group);
    uint32_t unused = padding == 0 ? 0 : padding == 1 ? 0xff : 0xffff;
    if (bits >= INVALID || (bits & unused) != 0) {
        return -1;
    }
    uint8_t bytes[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
    memcpy(out, bytes, 3 - padding);
    return (ssize_t)(3 - padding);
}

ssize_t base64_decode(uint8_t *out, const char *text, size_t len) {
    if (len == 0) {
        return 0;
    }
    if (len % 4 != 0) {
        return -1;
    }
    size_t done = base64_decode_vector(out, text, len);
    uint8_t *at = out + done / 4 * 3;
    text += done;
    for (len -= done; len > 12; len -= 8, text += 8, at += 6) {
        uint32_t high = decode_group(text);
        uint32_t low = decode_group(text + 4);
        if ((high | low) >= INVALID) {
            return -1;
        }
        uint64_t bits = htobe64(((uint64_t)high << 24 | low) << 16);
        memcpy(at, &bits, sizeof bits);  // two bytes too many, where at least four are to come
    }
    for (; len > 4; len -= 4, text += 4, at += 3) {
        uint32_t bits = decode_group(text);
        if (bits >= INVALID) {
            return -1;
        }
        at[0] = (uint8_t)(bits >> 16);
        at[1] = (uint8_t)(bits >> 8);
        at[2] = (uint8_t)bits;
    }
    ssize_t last = decode_last(at, text);
    return last < 0 ? -1 : at - out + last;
}
