// The values, the record, and the check of every change.
#include "bench/ledger.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/rng.h"

// Writes the value of `count` of a key: "KEY COUNT ", and up to its end the digits of a number that is drawn from both.
static void make_value(const struct ledger *ledger, const char *key, uint32_t number, uint32_t count, char *value) {
    char digits[17];
    struct rng rng = {.state = (uint64_t)number << 32 | count};
    snprintf(digits, sizeof digits, "%016" PRIx64, rng_next(&rng));
    size_t at = (size_t)snprintf(value, ledger->value_bytes, "%s %" PRIu32 " ", key, count);
    assert(at < ledger->value_bytes);
    for (size_t i = 0; at < ledger->value_bytes; i++) {
        value[at++] = digits[i % 16];
    }
}

static void make(void *user, uint64_t sequence, struct pb_put_request *put) {
    struct ledger *ledger = user;
    uint32_t number = (uint32_t)((sequence - 1) % ledger->keys);
    uint32_t count = (uint32_t)((sequence - 1) / ledger->keys) + 1;
    const struct ledger_key *key = &ledger->states[number];
    assert(key->acknowledged == count - 1);
    snprintf(ledger->key, sizeof ledger->key, "%s%" PRIu32, ledger->prefix, number);
    make_value(ledger, ledger->key, number, count, ledger->value);
    put->key = slice_of_str(ledger->key);
    put->value = slice_of(ledger->value, ledger->value_bytes);
    put->has_expected_revision = count % 2 == 0;
    put->expected_revision = put->has_expected_revision ? key->revision : 0;
}

static void fault(struct ledger *ledger, const char *what, struct slice key, uint64_t count, uint64_t revision) {
    if (ledger->fault.code == OK) {
        error_set(&ledger->fault, ERR_INVALID, "%s: key %.*s, count %" PRIu64 ", revision %" PRIu64, what, (int)key.len,
                  (const char *)key.data, count, revision);
    }
}

static void acknowledged(void *user, const struct writer_ack *ack) {
    struct ledger *ledger = user;
    uint32_t number = (uint32_t)((ack->sequence - 1) % ledger->keys);
    struct ledger_key *key = &ledger->states[number];
    if (ack->revision <= key->revision) {
        fault(ledger, "a write was acknowledged with a revision that is no higher than the one before", slice_of_str(""),
              key->acknowledged, ack->revision);
    }
    key->acknowledged++;
    key->revision = ack->revision;
    uint64_t latency_us = ack->acked_us - ack->sent_us;
    uint32_t times[2] = {(uint32_t)(ack->acked_us / US_PER_MS), latency_us < UINT32_MAX ? (uint32_t)latency_us : UINT32_MAX};
    fwrite(&number, sizeof number, 1, ledger->file);  // an error stays with the file until it is closed
    fwrite(&key->acknowledged, sizeof key->acknowledged, 1, ledger->file);
    fwrite(&ack->revision, sizeof ack->revision, 1, ledger->file);
    fwrite(times, sizeof times, 1, ledger->file);
}

// The number of the key, and the count that the value names. False: the writer made no such change.
static bool read_change(const struct ledger *ledger, const struct pb_watch_event *change, uint32_t *number,
                        uint32_t *count) {
    char text[LEDGER_VALUE_MIN + 1];
    size_t prefix = strlen(ledger->prefix);
    char *end;
    if (change->type != PB_WATCH_EVENT_TYPE_PUT || change->value.len != ledger->value_bytes ||
        change->key.len >= sizeof ledger->key || change->key.len <= prefix) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s", LEDGER_VALUE_MIN, (const char *)change->value.data);
    unsigned long found = strtoul(text + prefix, &end, 10);
    unsigned long named = *end == ' ' ? strtoul(end, NULL, 10) : 0;
    if (found >= ledger->keys || named == 0 || named > UINT32_MAX) {
        return false;
    }
    *number = (uint32_t)found;
    *count = (uint32_t)named;
    char key[sizeof ledger->key];
    snprintf(key, sizeof key, "%s%" PRIu32, ledger->prefix, *number);
    make_value(ledger, key, *number, *count, ledger->right);
    return slice_equal(change->key, slice_of_str(key)) &&
           slice_equal(change->value, slice_of(ledger->right, ledger->value_bytes));
}

static void changed(void *user, const struct pb_watch_event *change) {
    struct ledger *ledger = user;
    uint32_t number;
    uint32_t count;
    if (!read_change(ledger, change, &number, &count)) {
        fault(ledger, "a key changed in a way that nobody wrote", change->key, 0, change->revision);
        return;
    }
    struct ledger_key *key = &ledger->states[number];
    if (change->revision <= ledger->watched_revision) {
        fault(ledger, "a change came out of order", change->key, count, change->revision);
    }
    if (count > key->acknowledged + 1) {
        fault(ledger, "a change came before it was written", change->key, count, change->revision);
    }
    if (key->known && count <= key->watched) {
        fault(ledger, "a write was applied twice", change->key, count, change->revision);
    }
    if (key->known && count > key->watched + 1) {
        fault(ledger, "a write between two was lost", change->key, count - 1, change->revision);
    }
    key->known = true;
    key->watched = count;
    ledger->watched_revision = change->revision;
    ledger->watched++;
}

static void missed(void *user) {
    struct ledger *ledger = user;
    ledger->missed++;
    for (size_t i = 0; i < ledger->keys; i++) {
        ledger->states[i].known = false;
    }
}

static bool is_over(void *user) {
    const struct ledger *ledger = user;
    return ledger->fault.code != OK;
}

enum error_code ledger_open(struct ledger *ledger, const char *path, const char *prefix, size_t keys, size_t value_bytes,
                            struct error *error) {
    assert(keys >= LEDGER_KEYS_MIN && keys <= LEDGER_KEYS_MAX && strlen(prefix) <= LEDGER_PREFIX_MAX);
    assert(value_bytes >= LEDGER_VALUE_MIN && value_bytes <= LEDGER_VALUE_MAX);
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    char magic[16] = "baton-ledger-1";
    int64_t began_unix_us = (int64_t)wall.tv_sec * (int64_t)US_PER_S + wall.tv_nsec / 1000;
    *ledger = (struct ledger){.prefix = prefix, .keys = keys, .value_bytes = value_bytes, .file = fopen(path, "we")};
    if (ledger->file == NULL) {
        return error_set(error, ERR_IO, "%s: %s", path, strerror(errno));
    }
    fwrite(magic, sizeof magic, 1, ledger->file);
    fwrite(&began_unix_us, sizeof began_unix_us, 1, ledger->file);
    ledger->states = mem_zalloc(keys * sizeof *ledger->states);
    for (size_t i = 0; i < keys; i++) {
        ledger->states[i].known = true;
    }
    ledger->value = mem_alloc(value_bytes);
    ledger->right = mem_alloc(value_bytes);
    return OK;
}

enum error_code ledger_close(struct ledger *ledger, const char *path, struct error *error) {
    bool failed = ferror(ledger->file) != 0;
    failed = fclose(ledger->file) != 0 || failed;
    free(ledger->states);
    free(ledger->value);
    free(ledger->right);
    return failed ? error_set(error, ERR_IO, "%s could not be written whole", path) : OK;
}

struct writer_work ledger_work(struct ledger *ledger) {
    return (struct writer_work){
        .user = ledger,
        .make = make,
        .acknowledged = acknowledged,
        .watched = ledger->prefix,
        .changed = changed,
        .missed = missed,
        .is_over = is_over,
    };
}
