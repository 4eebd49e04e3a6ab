// Timestamps as text: RFC 3339 in UTC with milliseconds, such as 2026-11-23T05:06:07.123Z.
#ifndef BATON_BASE_RFC3339_H
#define BATON_BASE_RFC3339_H

#include <stdint.h>

enum { RFC3339_SIZE = sizeof "2026-11-23T05:06:07.123Z" };

// Writes the text and a NUL. `unix_ms` is milliseconds since 1970, clamped to the years 0 to 9999.
void rfc3339_format(char out[RFC3339_SIZE], int64_t unix_ms);

// Milliseconds since 1970 by the wall clock, which may jump: for display only, never for decisions.
int64_t unix_ms_now(void);

#endif
