// Founding a generation: node/found.h.
#include "node/found.h"

#include <assert.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "node/internal.h"

void draw_incarnation(char digits[INCARNATION_DIGITS + 1]) {
    uint8_t bytes[INCARNATION_DIGITS / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        abort();  // Linux has had it since 3.17, and 16 bytes are never cut short
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
    }
}

static void post(void *user) {
    sem_post(user);
}

// Waits until the write is durable, and closes the log.
static enum error_code write_durably(struct wal *wal, const struct raft_persist *persist, struct error *error) {
    sem_t news;
    sem_init(&news, 0, 0);
    enum error_code code = wal_start(wal, post, &news, error);
    if (code == OK) {
        wal_submit(wal, persist, node_clock_us());
        struct wal_status status = {0};
        while (status.durable_write < persist->write && status.condition == WAL_GOOD) {
            sem_wait(&news);
            wal_poll(wal, &status);
        }
        if (status.condition != WAL_GOOD) {
            code = error_set(error, status.condition == WAL_FULL ? ERR_NO_SPACE : ERR_IO, "%s", status.error.message);
        }
    }
    struct error close_error = {0};
    enum error_code closed = wal_close(wal, code != OK, &close_error);
    sem_destroy(&news);  // only now: the log's thread, which has ended, posts after it has published
    if (code == OK && closed != OK) {
        code = error_set(error, closed, "%s", close_error.message);
    }
    return code;
}

static struct raft_entry_id last_of(const struct wal_recovered *recovered, struct raft_entry_id image) {
    const struct raft_restored *log = &recovered->log;
    if (recovered->empty) {
        return image;
    }
    return log->count > 0 ? log->entries[log->count - 1]->id : log->base;
}

enum error_code found_generation(const struct wal_options *options, struct raft_slab *slab,
                                 const struct wire_configuration *configuration, struct raft_entry_id *founded,
                                 struct error *error) {
    assert(options->generation == configuration->generation);
    struct wal *wal;
    struct wal_recovered recovered;
    enum error_code code = wal_open(options, slab, &wal, &recovered, error);
    if (code != OK) {
        return code;
    }
    struct raft_entry_id last = last_of(&recovered, options->image);
    raft_term term = recovered.log.hard_state.current_term;
    raft_term gap = options->generation == 1 ? 1 : GENERATION_TERMS;
    *founded = (struct raft_entry_id){.term = (term > last.term ? term : last.term) + gap, .index = last.index + 1};
    struct raft_entry *entry = wire_configuration_encode(slab, *founded, configuration);
    struct raft_persist persist = {
        .write = 1, .has_hard_state = true, .hard_state = {.current_term = founded->term}, .entries = &entry, .count = 1};
    if (recovered.empty) {
        persist.reset = options->image;
    }
    wal_recovered_free(&recovered);
    if (entry == NULL) {
        wal_close(wal, true, NULL);
        return error_set(error, ERR_NO_MEMORY, "no memory for the configuration");
    }
    code = write_durably(wal, &persist, error);
    raft_entry_unref(entry);
    return code;
}
