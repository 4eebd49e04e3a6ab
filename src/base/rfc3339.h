// Points in time as text: RFC 3339 in UTC with milliseconds, such as 2026-11-23T05:06:07.123Z.
#ifndef BATON_BASE_RFC3339_H
#define BATON_BASE_RFC3339_H

#include <stdint.h>

enum { RFC3339_SIZE = sizeof "2026-11-23T05:06:07.123Z" };

// Writes the text and a NUL. `unix_ms` is milliseconds since 1970; what lies beyond the years 0 to 9999 is written as their
// first or last moment.
void rfc3339_format(char out[RFC3339_SIZE], int64_t unix_ms);

// Milliseconds since 1970 by the wall clock: for people's eyes only, never for deciding.
int64_t unix_ms_now(void);

#endif
