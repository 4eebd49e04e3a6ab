// The journal: what lately happened, in memory, for who asks why. A record is a line of the log (base/slog.h) with its event
// and fields; equal ones that follow each other closely are one with a count.
//
// Records are in groups. Each group has room for a fixed number, and its oldest give way: ten thousand workers that are lost
// at once do not push out what is known of the last election. The time is an argument. Out of memory ends the process, at
// journal_new; nothing later allocates.
#ifndef BATON_BASE_JOURNAL_H
#define BATON_BASE_JOURNAL_H

#include "base/slog.h"

enum {
    JOURNAL_FIELDS_MAX = 8,  // of a record; further ones are left out
    JOURNAL_MESSAGE_MAX =
        96,  // bytes of the message; the rest is cut, as is what the values have above their limit together
    JOURNAL_VALUES_MAX = 216,
};

struct journal_field {
    const char *key;   // static
    uint16_t at, len;  // of the value in `values`: UTF-8
};

struct journal_record {
    uint64_t number;   // 1, 2, 3, ... over all groups; of the first of equal ones
    int64_t first_ms;  // unix time
    int64_t last_ms;   // of the last of equal ones
    uint64_t count;
    uint64_t term;
    const char *event;  // static
    uint8_t field_count;
    struct journal_field fields[JOURNAL_FIELDS_MAX];
    char message[JOURNAL_MESSAGE_MAX];  // NUL-terminated
    char values[JOURNAL_VALUES_MAX];
};

struct journal;

// With `groups` groups of `capacity` records each.
struct journal *journal_new(size_t groups, size_t capacity);
void journal_free(struct journal *journal);

// `event` and the keys of the fields are static. Text that is not UTF-8 is replaced by "?".
void journal_add(struct journal *journal, size_t group, int64_t now_ms, uint64_t term, const char *event,
                 const char *message, const struct slog_field *fields, size_t count);

// The number of records.
size_t journal_count(const struct journal *journal);

// Fills `out`, with room for journal_count, in the order of their numbers. Borrowed until the next journal_add.
void journal_list(const struct journal *journal, const struct journal_record **out);

// A field's value; empty if there is none of that name.
struct slice journal_value(const struct journal_record *record, const char *key);

#endif
