// The rings of the journal: base/journal.h.
#include "base/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ids.h"
#include "base/mem.h"

// Among so many of the newest records of its group an equal one is looked for: nodes that ask each other again and again
// alternate between a few.
enum { ALIKE_MAX = 8 };

struct group {
    struct journal_record *records;  // a ring
    uint64_t added;                  // in total; the next goes to added % capacity
};

struct journal {
    size_t group_count;
    size_t capacity;
    uint64_t last_number;
    struct group groups[];
};

struct journal *journal_new(size_t groups, size_t capacity) {
    assert(groups > 0 && capacity > 0);
    struct journal *journal = mem_zalloc(sizeof *journal + groups * sizeof journal->groups[0]);
    journal->group_count = groups;
    journal->capacity = capacity;
    for (size_t i = 0; i < groups; i++) {
        journal->groups[i].records = mem_zalloc(capacity * sizeof(struct journal_record));
    }
    return journal;
}

void journal_free(struct journal *journal) {
    for (size_t i = 0; i < journal->group_count; i++) {
        free(journal->groups[i].records);
    }
    free(journal);
}

static size_t held(const struct journal *journal, const struct group *group) {
    return group->added < journal->capacity ? (size_t)group->added : journal->capacity;
}

// --- adding ---

// As much of the text as fits, in whole characters.
static struct slice fitting(struct slice text, size_t max) {
    if (!utf8_valid(text)) {
        text = slice_of_str("?");
    }
    if (text.len <= max) {
        return text;
    }
    const uint8_t *bytes = text.data;
    while (max > 0 && (bytes[max] & 0xc0) == 0x80) {
        max--;
    }
    return slice_of(bytes, max);
}

// The value as text; `room` is for numbers.
static struct slice value_text(const struct slog_field *field, char room[32]) {
    switch (field->kind) {
    case SLOG_TEXT:
        return slice_of_str(field->text == NULL ? "" : field->text);
    case SLOG_BYTES:
        return field->bytes;
    case SLOG_U64:
        snprintf(room, 32, "%" PRIu64, field->u64);
        break;
    case SLOG_I64:
        snprintf(room, 32, "%" PRId64, field->i64);
        break;
    case SLOG_DOUBLE:
        snprintf(room, 32, "%.6g", field->number);
        break;
    case SLOG_BOOL:
        return slice_of_str(field->boolean ? "true" : "false");
    }
    return slice_of_str(room);
}

static void fill(struct journal_record *record, const char *message, const struct slog_field *fields, size_t count) {
    struct slice text = fitting(slice_of_str(message), sizeof record->message - 1);
    memcpy(record->message, text.data, text.len);
    size_t at = 0;
    for (size_t i = 0; i < count && i < JOURNAL_FIELDS_MAX; i++) {
        char room[32];
        struct slice value = fitting(value_text(&fields[i], room), sizeof record->values - at);
        if (value.len > 0) {
            memcpy(record->values + at, value.data, value.len);
        }
        record->fields[record->field_count++] =
            (struct journal_field){.key = fields[i].key, .at = (uint16_t)at, .len = (uint16_t)value.len};
        at += value.len;
    }
}

// Both are zero behind their texts.
static bool is_alike(const struct journal_record *a, const struct journal_record *b) {
    bool same = a->term == b->term && strcmp(a->event, b->event) == 0 && a->field_count == b->field_count &&
                memcmp(a->message, b->message, sizeof a->message) == 0 &&
                memcmp(a->values, b->values, sizeof a->values) == 0;
    for (size_t i = 0; same && i < a->field_count; i++) {
        same = strcmp(a->fields[i].key, b->fields[i].key) == 0 && a->fields[i].len == b->fields[i].len;
    }
    return same;
}

static struct journal_record *find_alike(const struct journal *journal, const struct group *group,
                                         const struct journal_record *record) {
    size_t count = held(journal, group);
    for (size_t back = 1; back <= count && back <= ALIKE_MAX; back++) {
        struct journal_record *earlier = &group->records[(group->added - back) % journal->capacity];
        if (is_alike(earlier, record)) {
            return earlier;
        }
    }
    return NULL;
}

void journal_add(struct journal *journal, size_t group_index, int64_t now_ms, uint64_t term, const char *event,
                 const char *message, const struct slog_field *fields, size_t count) {
    assert(group_index < journal->group_count);
    struct group *group = &journal->groups[group_index];
    struct journal_record record = {.first_ms = now_ms, .last_ms = now_ms, .count = 1, .term = term, .event = event};
    fill(&record, message, fields, count);
    struct journal_record *alike = find_alike(journal, group, &record);
    if (alike != NULL) {
        alike->last_ms = now_ms;
        alike->count++;
        return;
    }
    record.number = ++journal->last_number;
    group->records[group->added++ % journal->capacity] = record;
}

// --- reading ---

size_t journal_count(const struct journal *journal) {
    size_t count = 0;
    for (size_t i = 0; i < journal->group_count; i++) {
        count += held(journal, &journal->groups[i]);
    }
    return count;
}

static int by_number(const void *a, const void *b) {
    const struct journal_record *const *x = a, *const *y = b;
    return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

void journal_list(const struct journal *journal, const struct journal_record **out) {
    size_t count = 0;
    for (size_t i = 0; i < journal->group_count; i++) {
        const struct group *group = &journal->groups[i];
        for (size_t k = 0; k < held(journal, group); k++) {
            out[count++] = &group->records[k];
        }
    }
    qsort(out, count, sizeof *out, by_number);
}

struct slice journal_value(const struct journal_record *record, const char *key) {
    for (size_t i = 0; i < record->field_count; i++) {
        if (strcmp(record->fields[i].key, key) == 0) {
            return slice_of(record->values + record->fields[i].at, record->fields[i].len);
        }
    }
    return slice_of(NULL, 0);
}
