// bench: a safe check of what the cluster takes for a write and a read, next to what it should take.
//
// One client, one call at a time, at most BENCH_RATE writes a second of BENCH_VALUE bytes to BENCH_KEYS keys of its own,
// which it deletes at the end: no load that others would notice. What a write should take is the leader's own estimate of a
// commit and the round trip from here to it. How many writes a cluster can take is another question: baton-bench asks it.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/array.h"
#include "ctl/nodes.h"
#include "ctl/progress.h"
#include "wire/codec.h"

enum { BENCH_KEYS = 16, BENCH_VALUE = 256, BENCH_RATE = 50, BENCH_S = 10, BENCH_S_MAX = 600, BENCH_KEY_LEN = 96 };

// More than this much over what it should take is slow. A sync of the disk, say, is not in the estimate.
#define SLOW_FACTOR   3.0
#define SLOW_EXTRA_MS 20.0

struct samples {
    double *ms;
    size_t count;
    size_t cap;
};

struct bench {
    struct ctl *ctl;
    char client_id[CTL_CLIENT_ID_SIZE];
    uint64_t sequence;
    struct samples writes, reads, round_trips;
    struct progress progress;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number) {
    (void)number;
    interrupted = 1;
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void take(struct samples *samples, double ms) {
    array_reserve(samples->ms, samples->cap, samples->count + 1);
    samples->ms[samples->count++] = ms;
}

static int by_size(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

// Of sorted samples.
static double at(const struct samples *samples, double part) {
    return samples->count == 0 ? 0 : samples->ms[(size_t)(part * (double)(samples->count - 1))];
}

// --- calls ---

static void name_key(const struct bench *bench, size_t number, char key[BENCH_KEY_LEN]) {
    snprintf(key, BENCH_KEY_LEN, "batonctl-bench/%s/%zu", bench->client_id, number);
}

static enum ctl_exit call(struct bench *bench, enum ctl_need need, const char *path, struct samples *samples) {
    struct slice answer;
    double begun = now_ms();
    enum ctl_exit status = ctl_ask(bench->ctl, need, path, &answer);
    if (status == CTL_OK && samples != NULL) {
        take(samples, now_ms() - begun);
    }
    return status;
}

static struct pb_session next_session(struct bench *bench) {
    return (struct pb_session){.client_id = slice_of_str(bench->client_id), .sequence = ++bench->sequence};
}

static enum ctl_exit write_key(struct bench *bench, const char *key, bool measured) {
    static const char value[BENCH_VALUE];
    struct pb_put_request request = {.key = slice_of_str(key),
                                     .value = slice_of(value, sizeof value),
                                     .has_session = true,
                                     .session = next_session(bench)};
    pb_encode(&pb_put_request_type, &request, &bench->ctl->request);
    return call(bench, CTL_WRITE, pb_control_service_put.path, measured ? &bench->writes : NULL);
}

static enum ctl_exit read_key(struct bench *bench, const char *key) {
    struct pb_get_request request = {.key = slice_of_str(key)};
    pb_encode(&pb_get_request_type, &request, &bench->ctl->request);
    return call(bench, CTL_READ, pb_control_service_get.path, &bench->reads);
}

// Any node's own state, and the leader is whom the calls go to.
static enum ctl_exit make_round_trip(struct bench *bench, const char *key) {
    struct pb_get_request request = {.key = slice_of_str(key), .stale = true};
    pb_encode(&pb_get_request_type, &request, &bench->ctl->request);
    return call(bench, CTL_ANY_NODE, pb_control_service_get.path, &bench->round_trips);
}

static enum ctl_exit delete_key(struct bench *bench, const char *key) {
    struct pb_delete_request request = {.key = slice_of_str(key), .has_session = true, .session = next_session(bench)};
    pb_encode(&pb_delete_request_type, &request, &bench->ctl->request);
    return call(bench, CTL_WRITE, pb_control_service_delete.path, NULL);
}

// --- the run ---

static enum ctl_exit measure(struct bench *bench, double seconds) {
    char key[BENCH_KEY_LEN];
    name_key(bench, 0, key);
    enum ctl_exit status = write_key(bench, key, false);  // finds the leader, and connects
    double begun = now_ms();
    for (size_t i = 0; status == CTL_OK && !interrupted && now_ms() - begun < seconds * 1000; i++) {
        name_key(bench, i % BENCH_KEYS, key);
        status = write_key(bench, key, true);
        status = status == CTL_OK ? read_key(bench, key) : status;
        status = status == CTL_OK ? make_round_trip(bench, key) : status;
        progress_show(&bench->progress, "writing and reading", (now_ms() - begun) / (seconds * 1000), "");
        double early_ms = begun + (double)(i + 1) * 1000 / BENCH_RATE - now_ms();
        if (status == CTL_OK && early_ms >= 1) {
            ctl_pause(bench->ctl->client, (uint64_t)early_ms);
        }
    }
    progress_clear(&bench->progress);
    return status;
}

static enum ctl_exit clean_up(struct bench *bench) {
    enum ctl_exit status = CTL_OK;
    size_t keys = bench->writes.count < BENCH_KEYS ? bench->writes.count : BENCH_KEYS;
    for (size_t i = 0; i < keys && status == CTL_OK; i++) {
        char key[BENCH_KEY_LEN];
        name_key(bench, i, key);
        status = delete_key(bench, key);
    }
    if (status != CTL_OK) {
        error_wrap(&bench->ctl->error, "keys with the prefix batonctl-bench/%s/ are left", bench->client_id);
    }
    return status;
}

// What the leader says that a commit takes; 0: it does not know yet.
static enum ctl_exit ask_estimate(struct ctl *ctl, char leader[ID_MAX + 1], double *commit_ms) {
    struct pb_status_response status;
    enum ctl_exit asked = nodes_ask_leader(ctl, &status);
    *commit_ms = 0;
    for (size_t i = 0; asked == CTL_OK && i < status.members_count; i++) {
        if (slice_equal(status.members[i].id, status.leader)) {
            *commit_ms = status.members[i].commit_ms;
        }
    }
    snprintf(leader, ID_MAX + 1, "%.*s", asked == CTL_OK ? (int)status.leader.len : 0,
             asked == CTL_OK ? (const char *)status.leader.data : "");
    return asked;
}

// --- the result ---

struct verdict {
    char leader[ID_MAX + 1];
    double commit_ms;
    double expected_ms;  // 0: the leader has no estimate yet
    bool slow;
};

static void row(struct table *table, const char *name, const struct samples *samples) {
    table_text(table, slice_of_str(name));
    table_u64(table, samples->count);
    table_printf(table, "%.2f ms", at(samples, 0.5));
    table_printf(table, "%.2f ms", at(samples, 0.99));
    table_printf(table, "%.2f ms", at(samples, 1));
}

static void print_table(struct bench *bench, const struct verdict *verdict) {
    struct buf *out = &bench->ctl->out;
    struct table table;
    table_begin(&table, "CALL|COUNT|MEDIAN|99 %|SLOWEST");
    row(&table, "write", &bench->writes);
    row(&table, "read", &bench->reads);
    row(&table, "round trip", &bench->round_trips);
    table_end(&table, out);
    if (verdict->expected_ms == 0) {
        buf_printf(out, "%s, the leader, has no estimate of a commit yet: no verdict\n", verdict->leader);
        return;
    }
    buf_printf(out, "by the estimate of %s, the leader, a commit takes %.2f ms, so a write about %.2f ms from here: %s\n",
               verdict->leader, verdict->commit_ms, verdict->expected_ms, verdict->slow ? "slow" : "ok");
}

static void json_samples(struct json *json, const char *name, const struct samples *samples) {
    json_open(json, name, '{');
    json_u64(json, "count", samples->count);
    json_number(json, "median_ms", at(samples, 0.5));
    json_number(json, "p99_ms", at(samples, 0.99));
    json_number(json, "slowest_ms", at(samples, 1));
    json_end(json, '}');
}

static void print_json(struct bench *bench, const struct verdict *verdict) {
    struct json json = {.out = &bench->ctl->out};
    json_begin(&json, '{');
    json_samples(&json, "writes", &bench->writes);
    json_samples(&json, "reads", &bench->reads);
    json_samples(&json, "round_trips", &bench->round_trips);
    json_text(&json, "leader", slice_of_str(verdict->leader));
    json_number(&json, "commit_ms", verdict->commit_ms);
    json_number(&json, "expected_ms", verdict->expected_ms);
    json_bool(&json, "slow", verdict->slow);
    json_end(&json, '}');
    buf_append_str(&bench->ctl->out, "\n");
}

static enum ctl_exit conclude(struct bench *bench, struct verdict *verdict) {
    struct samples *all[] = {&bench->writes, &bench->reads, &bench->round_trips};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        if (all[i]->count > 0) {
            qsort(all[i]->ms, all[i]->count, sizeof *all[i]->ms, by_size);
        }
    }
    if (verdict->commit_ms > 0) {
        verdict->expected_ms = verdict->commit_ms + at(&bench->round_trips, 0.5);
        verdict->slow = at(&bench->writes, 0.5) > verdict->expected_ms * SLOW_FACTOR + SLOW_EXTRA_MS;
    }
    (bench->ctl->options->json ? print_json : print_table)(bench, verdict);
    enum ctl_exit status = ctl_print(bench->ctl);
    if (status == CTL_OK && verdict->slow) {
        error_set(&bench->ctl->error, ERR_UNAVAILABLE,
                  "writes take %.1f times what they should; see batonctl explain writes, and batonctl status",
                  at(&bench->writes, 0.5) / verdict->expected_ms);
        status = CTL_FAILED;
    }
    return status;
}

static enum ctl_exit read_seconds(struct ctl *ctl, double *seconds) {
    const char *text = ctl->options->arguments[0];
    char *end = NULL;
    *seconds = text == NULL ? BENCH_S : (double)strtoul(text, &end, 10);
    if (text != NULL && (text[0] < '1' || text[0] > '9' || *end != '\0' || *seconds > BENCH_S_MAX)) {
        error_set(&ctl->error, ERR_INVALID, "SECONDS is \"%s\"; allowed is a number from 1 to %d", text, BENCH_S_MAX);
        return CTL_USAGE;
    }
    return CTL_OK;
}

enum ctl_exit ctl_bench(struct ctl *ctl) {
    double seconds;
    struct bench bench = {.ctl = ctl};
    struct verdict verdict = {.commit_ms = 0};
    enum ctl_exit status = read_seconds(ctl, &seconds);
    if (status != CTL_OK) {
        return status;
    }
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};  // the second one ends the process
    sigaction(SIGINT, &action, NULL);
    ctl_new_client_id(bench.client_id);
    progress_begin(&bench.progress);
    status = measure(&bench, seconds);
    if (bench.writes.count > 0) {
        struct error error = ctl->error;
        enum ctl_exit cleaned = clean_up(&bench);
        if (status != CTL_OK) {
            ctl->error = error;  // the first one says more
        }
        status = status == CTL_OK ? cleaned : status;
    }
    if (status == CTL_OK) {
        status = ask_estimate(ctl, verdict.leader, &verdict.commit_ms);
    }
    if (status == CTL_OK) {
        status = conclude(&bench, &verdict);
    }
    free(bench.writes.ms);
    free(bench.reads.ms);
    free(bench.round_trips.ms);
    return status;
}
