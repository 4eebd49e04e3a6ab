// Base64 by lookup tables, for speed: every log entry's command is encoded when written and decoded at recovery.
#include "base/base64.h"

#include <string.h>

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

// A character's six bits plus one; 0 for characters outside the alphabet.
static const uint8_t values[256] = {
    ['A'] = 1, ['B'] = 2, ['C'] = 3, ['D'] = 4, ['E'] = 5, ['F'] = 6, ['G'] = 7, ['H'] = 8,
    ['I'] = 9, ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};
// clang-format on

size_t base64_encode(char *out, const void *data, size_t len) {
    const uint8_t *in = data;
    char *at = out;
    for (; len >= 3; len -= 3, in += 3, at += 4) {
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

// The 24 bits of four characters, or -1.
static int32_t decode_group(const char *text) {
    int a = values[(uint8_t)text[0]];
    int b = values[(uint8_t)text[1]];
    int c = values[(uint8_t)text[2]];
    int d = values[(uint8_t)text[3]];
    if (a == 0 || b == 0 || c == 0 || d == 0) {
        return -1;
    }
    return (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
}

// The last group, which may end in padding. The unused bits must be zero, or several texts would decode to the same bytes.
static ssize_t decode_last(uint8_t *out, const char *text) {
    size_t padding = text[3] != '=' ? 0 : text[2] != '=' ? 1 : 2;
    char group[4];
    memcpy(group, text, 4);
    memset(group + 4 - padding, 'A', padding);
    int32_t bits = decode_group(group);
    int32_t unused = padding == 0 ? 0 : padding == 1 ? 0xff : 0xffff;
    if (bits < 0 || (bits & unused) != 0) {
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
    uint8_t *at = out;
    for (; len > 4; len -= 4, text += 4, at += 3) {
        int32_t bits = decode_group(text);
        if (bits < 0) {
            return -1;
        }
        at[0] = (uint8_t)(bits >> 16);
        at[1] = (uint8_t)(bits >> 8);
        at[2] = (uint8_t)bits;
    }
    ssize_t last = decode_last(at, text);
    return last < 0 ? -1 : at - out + last;
}
