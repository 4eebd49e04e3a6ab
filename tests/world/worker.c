// Workers: worker.h.
//
//   no worker is called offline while its heartbeats arrive   a gap of more than SILENT_US is needed
//   epochs fence                                              those that one worker is told never fall, and a new instance's
//   is
//                                                             above all before
#include "worker.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "baton/v1/worker.pb.h"
#include "endpoints.h"
#include "host.h"
#include "ledger.h"
#include "wire/codec.h"
#include "world.h"

// A node's clock may run faster by a twentieth; a declaration may wait for its majority, but not for longer than a leader
// without one leads.
#define INTERVAL_US (5000 * US_PER_MS)
#define SILENT_US   (12000 * US_PER_MS)
#define LOOK_US     (40000 * US_PER_MS)

enum { CALL_MS = 2000, RETRY_US = 100 * US_PER_MS, BEATS_KEPT = 32 };

struct worker {
    int host;
    struct endpoints nodes;
    uv_loop_t *loop;
    char id[16];
    char instance[24];
    unsigned instances;
    uint64_t epoch;                    // the last it was told
    uint64_t epochs[GENERATIONS_MAX];  // the highest, by each generation
    bool registered;
    uint64_t sent_us;   // the call under way
    uint64_t began_us;  // of this instance
    struct {
        uint64_t at_us;
        uint64_t generation;
    } beats[BEATS_KEPT];  // accepted heartbeats: when they were sent, and by whom they were taken
    uint64_t accepted;
    struct buf request;
};

static struct worker workers[WORKERS_MAX_HERE];
static int worker_count;
static bool closed;
static uint64_t offline;

static void call(struct worker *w);

static void go_on(void *a, uint64_t b) {
    (void)b;
    if (!closed) {
        call(a);
    }
}

static void on_time(void *a, uint64_t b) {
    struct worker *w = a;
    if (!closed) {
        loop_post(w->loop, go_on, w, b);
    }
}

static void new_instance(struct worker *w) {
    snprintf(w->instance, sizeof w->instance, "i%d-%u", w->host, ++w->instances);
    w->registered = false;
    w->began_us = world_now();
    w->accepted = 0;
}

static void learn_epoch(struct worker *w, uint64_t epoch, bool is_new) {
    uint64_t *told = &w->epochs[network_generation() - 1];
    if (epoch < *told || (is_new && epoch == *told && w->accepted == 0 && w->instances > 1 && !w->registered)) {
        world_broken("worker %s is told the epoch %llu after %llu", w->id, (unsigned long long)epoch,
                     (unsigned long long)*told);
    }
    w->epoch = *told = epoch;
}

static void follow(struct worker *w, bool has_redirect, const struct pb_redirect *redirect) {
    if (!has_redirect || !endpoints_follow(&w->nodes, redirect->leader_address)) {
        endpoints_next(&w->nodes);
    }
}

// Whether it was accepted.
static bool take_answer(struct worker *w, struct slice body) {
    struct arena arena = {0};
    struct pb_register_worker_response registered;
    struct pb_heartbeat_response beat;
    bool accepted;
    if (!w->registered) {
        accepted =
            pb_decode(&arena, &pb_register_worker_response_type, body, &registered, NULL) == OK && registered.accepted;
        if (accepted) {
            learn_epoch(w, registered.epoch, true);
            w->registered = true;
        } else {
            follow(w, registered.has_redirect, &registered.redirect);
        }
    } else {
        accepted = pb_decode(&arena, &pb_heartbeat_response_type, body, &beat, NULL) == OK && beat.accepted;
        if (accepted) {
            learn_epoch(w, beat.epoch, false);
        } else {
            follow(w, beat.has_redirect, &beat.redirect);
        }
    }
    arena_free(&arena);
    return accepted;
}

static uint64_t pause_of(struct worker *w) {
    if (world_chance(12)) {
        new_instance(w);
        return world_between(0, INTERVAL_US);
    }
    return world_chance(10) ? world_between(INTERVAL_US, 6 * INTERVAL_US) : INTERVAL_US;
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct worker *w = user;
    (void)tag;
    if (closed) {
        return;
    }
    if (result->status == RPC_OK && take_answer(w, result->body)) {
        size_t at = w->accepted++ % BEATS_KEPT;
        w->beats[at].at_us = w->sent_us;
        w->beats[at].generation = network_generation();
        world_at(world_now() + pause_of(w), on_time, w, 0);
        return;
    }
    if (result->status == RPC_NOT_FOUND || result->status == RPC_ABORTED || result->status == RPC_FAILED_PRECONDITION) {
        new_instance(w);  // it does not know this one any more
    } else if (result->status != RPC_OK) {
        endpoints_next(&w->nodes);
    }
    world_at(world_now() + RETRY_US, on_time, w, 0);
}

static void call(struct worker *w) {
    buf_clear(&w->request);
    if (w->registered) {
        struct pb_heartbeat_request request = {
            .worker_id = slice_of_str(w->id), .instance_id = slice_of_str(w->instance), .epoch = w->epoch};
        pb_encode(&pb_heartbeat_request_type, &request, &w->request);
    } else {
        struct pb_register_worker_request request = {.worker_id = slice_of_str(w->id),
                                                     .instance_id = slice_of_str(w->instance),
                                                     .address = slice_of_str("127.0.0.1:9000"),
                                                     .cloud = slice_of_str("gcp"),
                                                     .slots = 1};
        pb_encode(&pb_register_worker_request_type, &request, &w->request);
    }
    w->sent_us = world_now();
    rpc_channel_call(endpoints_channel(&w->nodes),
                     &(struct rpc_request){.path = w->registered ? pb_worker_service_heartbeat.path
                                                                 : pb_worker_service_register_worker.path,
                                           .body = buf_slice(&w->request),
                                           .timeout_ms = CALL_MS,
                                           .wait_for_ready = true,
                                           .user = w,
                                           .on_done = on_done});
}

// The longest time without a heartbeat that this generation accepted within the last LOOK_US; what is before the first one
// counts, too.
static uint64_t longest_gap(const struct worker *w, uint64_t generation) {
    uint64_t now_us = world_now();
    uint64_t from_us = now_us > LOOK_US ? now_us - LOOK_US : 0;
    from_us = from_us < w->began_us ? w->began_us : from_us;
    uint64_t longest = 0;
    uint64_t before = from_us;
    uint64_t first = w->accepted > BEATS_KEPT ? w->accepted - BEATS_KEPT : 0;
    for (uint64_t i = first; i <= w->accepted; i++) {
        uint64_t at_us = i == w->accepted ? now_us : w->beats[i % BEATS_KEPT].at_us;
        bool counts = i == w->accepted || w->beats[i % BEATS_KEPT].generation == generation;
        if (at_us > before && counts) {
            longest = at_us - before > longest ? at_us - before : longest;
            before = at_us;
        }
    }
    return longest;
}

void worker_declared_offline(struct slice id, uint64_t generation, uint64_t founded_us) {
    offline++;
    for (int i = 0; i < worker_count; i++) {
        const struct worker *w = &workers[i];
        // Else it may be of an instance before, or the generation may have it from the one before.
        uint64_t since_us = w->began_us > founded_us ? w->began_us : founded_us;
        bool long_enough = world_now() - since_us > LOOK_US;
        if (slice_equal(id, slice_of_str(w->id)) && long_enough && longest_gap(w, generation) < SILENT_US) {
            world_broken("worker %s is called offline, and never was without an accepted heartbeat for more than %llu ms",
                         w->id, (unsigned long long)(longest_gap(w, generation) / US_PER_MS));
        }
    }
}

static void start(void *user, uv_loop_t *loop) {
    struct worker *w = user;
    w->loop = loop;
    endpoints_open(&w->nodes, loop);
    endpoints_next(&w->nodes);
    call(w);
}

void worker_start(int host) {
    assert(worker_count < WORKERS_MAX_HERE);
    struct worker *w = &workers[worker_count++];
    *w = (struct worker){.host = host};
    snprintf(w->id, sizeof w->id, "%s", host_of(host)->name);
    new_instance(w);
    host_run_client(host, start, w);
}

static void close_worker(void *a, uint64_t b) {
    struct worker *w = a;
    (void)b;
    endpoints_close(&w->nodes);
}

void workers_close(void) {
    closed = true;
    for (int i = 0; i < worker_count; i++) {
        loop_post(workers[i].loop, close_worker, &workers[i], 0);
    }
}

void workers_leave(void) {
    for (int i = 0; i < worker_count; i++) {
        loop_leave(workers[i].loop);
    }
}

void workers_reset(void) {
    for (int i = 0; i < worker_count; i++) {
        endpoints_free(&workers[i].nodes);
        buf_free(&workers[i].request);
    }
    worker_count = 0;
    closed = false;
}

uint64_t workers_offline(void) {
    return offline;
}
