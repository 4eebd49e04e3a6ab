// The thread around the writer, one mutex, and the loop's side of the queue.
//
// The loop's thread makes a write and appends it to `incoming` (under the mutex) and to its own list of outstanding writes.
// The WAL's thread moves `incoming` to the writer's queue. Once a durable_write is published, the writer no longer touches
// writes at or below it: the loop's thread drops their references and frees them.
#include "wal/wal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "wal/writer.h"

enum { SYNCS_KEPT = sizeof(((struct wal_status *)NULL)->sync_seconds) / sizeof(double) };

struct wal {
    struct wal_writer *writer;  // used by the WAL's thread while it runs
    void (*wake)(void *user);
    void *user;
    pthread_t thread;
    bool started;

    // Used by the loop's thread only.
    struct wal_write *oldest;  // outstanding
    struct wal_write *newest;

    pthread_mutex_t mutex;
    pthread_cond_t changed;  // signals the three below
    struct wal_write *incoming;
    struct wal_write *incoming_tail;
    enum { RUN, STOP, ABANDON } wanted;
    raft_index compact_to;     // see wal_compact
    uint64_t generation;       // see wal_raise_generation
    bool waiting;              // the WAL's thread waits on `changed`
    struct wal_status status;  // published by the WAL's thread, except oldest_pending_us
};

// --- the WAL's thread ---

static void take_incoming(struct wal *wal) {
    wal_writer_raise_generation(wal->writer, wal->generation);
    for (struct wal_write *write = wal->incoming, *next; write != NULL; write = next) {
        next = write->next;
        wal_writer_push(wal->writer, write);
    }
    wal->incoming = NULL;
    wal->incoming_tail = NULL;
}

// Under the mutex. True: wal_poll has news.
static bool publish(struct wal *wal) {
    const struct wal_writer *w = wal->writer;
    struct wal_status *status = &wal->status;
    if (w->batches > status->batches) {
        status->sync_seconds[status->sync_count++ % SYNCS_KEPT] = w->sync_seconds;
    }
    bool news = w->durable_write != status->durable_write || w->condition != status->condition ||
                w->durable_hard_state_write != status->durable_hard_state_write;
    status->durable_write = w->durable_write;
    status->durable_hard_state_write = w->durable_hard_state_write;
    status->condition = w->condition;
    status->error = w->error;
    status->batches = w->batches;
    status->bytes = w->bytes;
    return news;
}

// Under the mutex. Waits until something changes, or until a full disk is to be retried.
static void wait_for_change(struct wal *wal) {
    uint64_t retry_us = wal_writer_retry_us(wal->writer);
    wal->waiting = true;
    if (retry_us == 0) {
        pthread_cond_wait(&wal->changed, &wal->mutex);
    } else {
        // wal_io's clock may be a simulator's: only the difference counts.
        const struct wal_io *io = wal->writer->dir.io;
        uint64_t now_us = io->now_us(io->self);
        uint64_t left_us = retry_us > now_us ? retry_us - now_us : 0;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t ns = (uint64_t)until.tv_nsec + left_us % US_PER_S * 1000;
        until.tv_sec += (time_t)(left_us / US_PER_S + ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        pthread_cond_timedwait(&wal->changed, &wal->mutex, &until);
    }
    wal->waiting = false;
}

static bool is_done(const struct wal *wal) {
    return wal->wanted == ABANDON || (wal->wanted == STOP && wal->incoming == NULL &&
                                      (wal->writer->head == NULL || wal->writer->condition != WAL_GOOD));
}

// One round, called and left with the mutex locked; it is unlocked during system calls.
static void work(struct wal *wal) {
    take_incoming(wal);
    pthread_mutex_unlock(&wal->mutex);
    bool worked = wal_writer_step(wal->writer);
    pthread_mutex_lock(&wal->mutex);
    bool news = publish(wal);
    bool idle = wal->incoming == NULL && wal->writer->head == NULL && wal->wanted == RUN;
    raft_index compact_to = wal->compact_to;
    pthread_mutex_unlock(&wal->mutex);
    if (news) {
        wal->wake(wal->user);
    }
    worked |= wal_writer_prepare(wal->writer, idle);
    worked |= wal_writer_purge(wal->writer, compact_to);
    pthread_mutex_lock(&wal->mutex);
    if (!worked && wal->incoming == NULL && wal->wanted == RUN && wal->compact_to == compact_to) {
        wait_for_change(wal);
    }
}

static void *run(void *arg) {
    struct wal *wal = arg;
    pthread_mutex_lock(&wal->mutex);
    while (!is_done(wal)) {
        work(wal);
    }
    pthread_mutex_unlock(&wal->mutex);
    return NULL;
}

// --- the loop's thread ---

enum error_code wal_open(const struct wal_options *options, struct raft_slab *slab, struct wal **wal,
                         struct wal_recovered *recovered, struct error *error) {
    struct wal_writer *writer;
    enum error_code code = wal_writer_open(options, slab, &writer, recovered, error);
    if (code != OK) {
        return code;
    }
    struct wal *opened = mem_zalloc(sizeof *opened);
    opened->writer = writer;
    pthread_mutex_init(&opened->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&opened->changed, &attr);
    pthread_condattr_destroy(&attr);
    *wal = opened;
    return OK;
}

enum error_code wal_start(struct wal *wal, void (*wake)(void *user), void *user, struct error *error) {
    assert(!wal->started);
    wal->wake = wake;
    wal->user = user;
    // Signals go to the loop's thread.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&wal->thread, NULL, run, wal);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        return error_set(error, ERR_UNAVAILABLE, "no thread for the log: %s; raise the limit on processes",
                         strerror(failed));
    }
    wal->started = true;
    return OK;
}

enum error_code wal_begin(struct wal *wal, struct error *error) {
    assert(!wal->started);
    return wal_writer_begin(wal->writer, error);
}

static struct wal_write *write_new(const struct raft_persist *persist, uint64_t now_us) {
    struct wal_write *write = mem_alloc(sizeof *write + persist->count * sizeof(struct raft_entry *));
    *write = (struct wal_write){.persist = *persist, .submitted_us = now_us};
    write->persist.entries = write->entries;
    for (size_t i = 0; i < persist->count; i++) {
        write->entries[i] = raft_entry_ref(persist->entries[i]);
    }
    return write;
}

void wal_submit(struct wal *wal, const struct raft_persist *persist, uint64_t now_us) {
    assert(wal->newest == NULL || persist->write == wal->newest->persist.write + 1);
    struct wal_write *write = write_new(persist, now_us);
    if (wal->newest != NULL) {
        wal->newest->next_outstanding = write;
    } else {
        wal->oldest = write;
    }
    wal->newest = write;
    pthread_mutex_lock(&wal->mutex);
    if (wal->incoming_tail != NULL) {
        wal->incoming_tail->next = write;
    } else {
        wal->incoming = write;
    }
    wal->incoming_tail = write;
    bool signal = wal->waiting;
    pthread_mutex_unlock(&wal->mutex);
    if (signal) {
        pthread_cond_signal(&wal->changed);
    }
}

// Needs no signal: it has no effect before the next write.
void wal_raise_generation(struct wal *wal, uint64_t generation) {
    pthread_mutex_lock(&wal->mutex);
    if (generation > wal->generation) {
        wal->generation = generation;
    }
    pthread_mutex_unlock(&wal->mutex);
}

void wal_compact(struct wal *wal, raft_index index) {
    pthread_mutex_lock(&wal->mutex);
    wal->compact_to = index;
    bool signal = wal->waiting;
    pthread_mutex_unlock(&wal->mutex);
    if (signal) {
        pthread_cond_signal(&wal->changed);
    }
}

static void release_up_to(struct wal *wal, uint64_t durable_write) {
    while (wal->oldest != NULL && wal->oldest->persist.write <= durable_write) {
        struct wal_write *write = wal->oldest;
        wal->oldest = write->next_outstanding;
        for (size_t i = 0; i < write->persist.count; i++) {
            raft_entry_unref(write->entries[i]);
        }
        free(write);
    }
    if (wal->oldest == NULL) {
        wal->newest = NULL;
    }
}

void wal_poll(struct wal *wal, struct wal_status *status) {
    pthread_mutex_lock(&wal->mutex);
    *status = wal->status;
    wal->status.sync_count = 0;
    pthread_mutex_unlock(&wal->mutex);
    if (status->sync_count > SYNCS_KEPT) {
        status->sync_count = SYNCS_KEPT;
    }
    assert(status->durable_write <= status->durable_hard_state_write);
    release_up_to(wal, status->durable_write);
    status->oldest_pending_us = wal->oldest != NULL ? wal->oldest->submitted_us : 0;
}

static void stop_thread(struct wal *wal, bool abandon) {
    pthread_mutex_lock(&wal->mutex);
    wal->wanted = abandon ? ABANDON : STOP;
    pthread_mutex_unlock(&wal->mutex);
    pthread_cond_signal(&wal->changed);
    pthread_join(wal->thread, NULL);
}

enum error_code wal_close(struct wal *wal, bool abandon, struct error *error) {
    if (wal->started) {
        stop_thread(wal, abandon);
    } else if (!abandon) {
        take_incoming(wal);
        while (wal->writer->condition == WAL_GOOD && wal_writer_step(wal->writer)) {
        }
    }
    enum error_code code = wal_writer_close(wal->writer, !abandon, error);
    release_up_to(wal, UINT64_MAX);
    pthread_cond_destroy(&wal->changed);
    pthread_mutex_destroy(&wal->mutex);
    free(wal);
    return code;
}
