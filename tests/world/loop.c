// The event loop: what nodes use of libuv. A loop belongs to a fiber; a turn runs the timers that are due, then the prepare
// callbacks, waits for events, runs these, then the check callbacks and what was closed, as libuv does. A turn takes some
// time, so that events gather.
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/array.h"
#include "base/mem.h"
#include "host.h"
#include "wal/io.h"
#include "world.h"

enum { TURN_MIN_US = 5, TURN_MAX_US = 40, FILE_MIN_US = 20, FILE_MAX_US = 400 };

struct task {
    void (*run)(void *a, uint64_t b);
    void *a;
    uint64_t b;
};

struct tasks {
    struct task *items;
    size_t count;
    size_t cap;
};

enum handle_kind { TIMER, PREPARE, CHECK, IDLE, ASYNC };

struct handle {
    uv_handle_t *handle;
    enum handle_kind kind;
    bool active;
    bool closing;
    void (*call)(uv_handle_t *handle);
    uv_close_cb closed;
    uint64_t due_ms;
};

struct loop {
    uv_loop_t uv;
    int host;
    struct fiber *fiber;
    struct handle *handles;
    size_t handle_count;
    size_t handle_cap;
    struct tasks posted;
    struct tasks running;
    uint64_t time_ms;
    uint64_t idle_us;
    uint64_t turns;
    size_t requests;  // file operations under way
    bool leave;
    bool held;
};

static struct loop *of(const uv_loop_t *uv) {
    return uv->data;
}

uv_loop_t *loop_new(void) {
    struct loop *loop = mem_zalloc(sizeof *loop);
    loop->uv.data = loop;
    loop->host = current_host();
    loop->fiber = fiber_current();
    loop->time_ms = host_clock(loop->host) / US_PER_MS;
    return &loop->uv;
}

void loop_free(uv_loop_t *uv) {
    struct loop *loop = of(uv);
    assert(loop->handle_count == 0 && loop->requests == 0);
    free(loop->handles);
    free(loop->posted.items);
    free(loop->running.items);
    free(loop);
}

static void add_task(struct tasks *tasks, struct task task) {
    array_reserve(tasks->items, tasks->cap, tasks->count + 1);
    tasks->items[tasks->count++] = task;
}

void loop_post(uv_loop_t *uv, void (*run)(void *a, uint64_t b), void *a, uint64_t b) {
    struct loop *loop = of(uv);
    add_task(&loop->posted, (struct task){run, a, b});
    fiber_wake(loop->fiber, world_now());
}

uint64_t loop_turns(const uv_loop_t *uv) {
    return of(uv)->turns;
}

void loop_hold(uv_loop_t *uv) {
    of(uv)->held = true;
}

void loop_leave(uv_loop_t *uv) {
    of(uv)->held = false;
    of(uv)->leave = true;
    fiber_wake(of(uv)->fiber, world_now());
}

// --- a turn ---

static void run_kind(struct loop *loop, enum handle_kind kind) {
    for (size_t i = 0; i < loop->handle_count; i++) {
        struct handle *h = &loop->handles[i];
        if (h->kind == kind && h->active && !h->closing) {
            h->call(h->handle);
        }
    }
}

static bool is_active(const struct loop *loop, enum handle_kind kind) {
    for (size_t i = 0; i < loop->handle_count; i++) {
        if (loop->handles[i].kind == kind && loop->handles[i].active) {
            return true;
        }
    }
    return false;
}

static void run_timers(struct loop *loop) {
    for (size_t i = 0; i < loop->handle_count; i++) {
        struct handle *h = &loop->handles[i];
        if (h->kind == TIMER && h->active && !h->closing && h->due_ms <= loop->time_ms) {
            h->active = false;
            uv_timer_t *timer = (uv_timer_t *)h->handle;
            if (timer->repeat != 0) {
                h->active = true;
                h->due_ms = loop->time_ms + timer->repeat;
            }
            h->call(h->handle);
        }
    }
}

// When the next timer is due, in virtual time.
static uint64_t next_timer_us(const struct loop *loop) {
    uint64_t due_ms = UINT64_MAX;
    for (size_t i = 0; i < loop->handle_count; i++) {
        const struct handle *h = &loop->handles[i];
        if (h->kind == TIMER && h->active && !h->closing && h->due_ms < due_ms) {
            due_ms = h->due_ms;
        }
    }
    return due_ms == UINT64_MAX ? UINT64_MAX : host_clock_at(loop->host, due_ms * US_PER_MS);
}

static bool is_closing(const struct loop *loop) {
    for (size_t i = 0; i < loop->handle_count; i++) {
        if (loop->handles[i].closing) {
            return true;
        }
    }
    return false;
}

static void wait_for_events(struct loop *loop) {
    uint64_t from_us = world_now();
    while (loop->posted.count == 0 && !loop->leave) {
        uint64_t at_us = next_timer_us(loop);
        if (at_us <= world_now()) {
            break;
        }
        if (at_us == UINT64_MAX) {
            fiber_park();
        } else {
            fiber_park_until(at_us);
        }
    }
    loop->idle_us += world_now() - from_us;
}

static void run_posted(struct loop *loop) {
    struct tasks tasks = loop->posted;
    loop->posted = loop->running;
    loop->posted.count = 0;
    loop->running = tasks;
    for (size_t i = 0; i < loop->running.count; i++) {
        struct task task = loop->running.items[i];
        task.run(task.a, task.b);
    }
    loop->running.count = 0;
}

static void run_closed(struct loop *loop) {
    for (size_t i = 0; i < loop->handle_count;) {
        struct handle h = loop->handles[i];
        if (!h.closing) {
            i++;
            continue;
        }
        memmove(&loop->handles[i], &loop->handles[i + 1], (loop->handle_count - i - 1) * sizeof h);
        loop->handle_count--;
        if (h.closed != NULL) {
            h.closed(h.handle);
        }
    }
}

static void turn(uv_loop_t *uv) {
    struct loop *loop = of(uv);
    loop->turns++;
    uv_update_time(uv);
    run_timers(loop);
    run_kind(loop, IDLE);
    run_kind(loop, PREPARE);
    if (!is_active(loop, IDLE) && !is_closing(loop)) {
        wait_for_events(loop);
    }
    uv_update_time(uv);
    run_posted(loop);
    run_kind(loop, CHECK);
    run_closed(loop);
    fiber_sleep(world_between(TURN_MIN_US, TURN_MAX_US));
}

void loop_run(uv_loop_t *uv) {
    struct loop *loop = of(uv);
    loop->leave = false;
    while (!loop->leave && (loop->held || loop->handle_count > 0 || loop->requests > 0 || loop->posted.count > 0)) {
        turn(uv);
    }
}

// --- libuv ---

static struct handle *find(uv_loop_t *uv, const void *handle) {
    struct loop *loop = of(uv);
    for (size_t i = 0; i < loop->handle_count; i++) {
        if (loop->handles[i].handle == handle) {
            return &loop->handles[i];
        }
    }
    assert(false);
    return NULL;
}

static int add(uv_loop_t *uv, void *handle, enum handle_kind kind) {
    struct loop *loop = of(uv);
    array_reserve(loop->handles, loop->handle_cap, loop->handle_count + 1);
    loop->handles[loop->handle_count++] = (struct handle){.handle = handle, .kind = kind};
    ((uv_handle_t *)handle)->loop = uv;
    return 0;
}

// Of a program that has a loop of its own.
int uv_loop_init(uv_loop_t *uv) {
    uv->data = of(loop_new());
    return 0;
}

int uv_run(uv_loop_t *uv, uv_run_mode mode) {
    if (mode == UV_RUN_DEFAULT) {
        loop_run(uv);
    } else {
        turn(uv);
    }
    return 0;
}

int uv_loop_close(uv_loop_t *uv) {
    loop_free(uv);
    return 0;
}

uint64_t uv_hrtime(void) {
    return host_clock(current_host()) * 1000;
}

int uv_timer_init(uv_loop_t *uv, uv_timer_t *timer) {
    timer->repeat = 0;
    return add(uv, timer, TIMER);
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb call, uint64_t timeout, uint64_t repeat) {
    struct handle *h = find(timer->loop, timer);
    h->call = (void (*)(uv_handle_t *))call;
    h->active = true;
    h->due_ms = of(timer->loop)->time_ms + timeout;
    timer->repeat = repeat;
    return 0;
}

int uv_prepare_init(uv_loop_t *uv, uv_prepare_t *handle) {
    return add(uv, handle, PREPARE);
}

int uv_prepare_start(uv_prepare_t *handle, uv_prepare_cb call) {
    struct handle *h = find(handle->loop, handle);
    h->call = (void (*)(uv_handle_t *))call;
    h->active = true;
    return 0;
}

int uv_check_init(uv_loop_t *uv, uv_check_t *handle) {
    return add(uv, handle, CHECK);
}

int uv_check_start(uv_check_t *handle, uv_check_cb call) {
    struct handle *h = find(handle->loop, handle);
    h->call = (void (*)(uv_handle_t *))call;
    h->active = true;
    return 0;
}

int uv_idle_init(uv_loop_t *uv, uv_idle_t *handle) {
    return add(uv, handle, IDLE);
}

int uv_idle_start(uv_idle_t *handle, uv_idle_cb call) {
    struct handle *h = find(handle->loop, handle);
    h->call = (void (*)(uv_handle_t *))call;
    h->active = true;
    return 0;
}

int uv_idle_stop(uv_idle_t *handle) {
    find(handle->loop, handle)->active = false;
    return 0;
}

int uv_is_active(const uv_handle_t *handle) {
    return find(handle->loop, handle)->active;
}

int uv_async_init(uv_loop_t *uv, uv_async_t *handle, uv_async_cb call) {
    add(uv, handle, ASYNC);
    find(uv, handle)->call = (void (*)(uv_handle_t *))call;
    return 0;
}

// It may have been closed meanwhile.
static void run_async(void *a, uint64_t b) {
    struct loop *loop = (struct loop *)(uintptr_t)b;
    for (size_t i = 0; i < loop->handle_count; i++) {
        struct handle *h = &loop->handles[i];
        if (h->handle == a && !h->closing && h->active) {
            h->active = false;
            h->call(h->handle);
            return;
        }
    }
}

int uv_async_send(uv_async_t *handle) {
    struct handle *h = find(handle->loop, handle);
    if (!h->active && !h->closing) {
        h->active = true;
        loop_post(handle->loop, run_async, handle, (uint64_t)(uintptr_t)of(handle->loop));
    }
    return 0;
}

void uv_close(uv_handle_t *handle, uv_close_cb closed) {
    struct handle *h = find(handle->loop, handle);
    assert(!h->closing);
    h->closing = true;
    h->active = false;
    h->closed = closed;
}

void uv_update_time(uv_loop_t *uv) {
    of(uv)->time_ms = host_clock(of(uv)->host) / US_PER_MS;
}

int uv_loop_configure(uv_loop_t *uv, uv_loop_option option, ...) {
    (void)uv;
    (void)option;
    return 0;
}

uint64_t uv_metrics_idle_time(uv_loop_t *uv) {
    return of(uv)->idle_us * 1000;
}

const char *uv_strerror(int code) {
    return strerror(-code);
}

uv_buf_t uv_buf_init(char *base, unsigned len) {
    return (uv_buf_t){.base = base, .len = len};
}

// --- threads ---

struct thread {
    uv_thread_cb run;
    void *user;
};

static void run_thread(void *user) {
    struct thread thread = *(struct thread *)user;
    free(user);
    thread.run(thread.user);
}

int uv_thread_create(uv_thread_t *thread, uv_thread_cb run, void *user) {
    struct thread *copy = mem_alloc(sizeof *copy);
    *copy = (struct thread){.run = run, .user = user};
    *thread = (uv_thread_t)(uintptr_t)fiber_new(current_host(), run_thread, copy);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result);

int uv_thread_join(uv_thread_t *thread) {
    return __wrap_pthread_join(*thread, NULL);
}

// --- files: done at once, told later ---

static void tell(void *a, uint64_t b) {
    uv_fs_t *request = a;
    (void)b;
    of(request->loop)->requests--;
    request->cb(request);
}

static void arrive(void *a, uint64_t b) {
    uv_fs_t *request = a;
    loop_post(request->loop, tell, request, b);
}

static int begin(uv_loop_t *uv, uv_fs_t *request, ssize_t result, uv_fs_cb done) {
    request->loop = uv;
    request->result = result < 0 ? -errno : result;
    request->cb = done;
    of(uv)->requests++;
    world_at(world_now() + world_between(FILE_MIN_US, FILE_MAX_US), arrive, request, 0);
    return 0;
}

int uv_fs_read(uv_loop_t *uv, uv_fs_t *request, uv_file file, const uv_buf_t bufs[], unsigned count, int64_t offset,
               uv_fs_cb done) {
    assert(count == 1);
    ssize_t n = wal_io_system.read_at(wal_io_system.self, file, bufs[0].base, bufs[0].len, offset);
    return begin(uv, request, n, done);
}

int uv_fs_write(uv_loop_t *uv, uv_fs_t *request, uv_file file, const uv_buf_t bufs[], unsigned count, int64_t offset,
                uv_fs_cb done) {
    assert(count == 1);
    struct iovec part = {.iov_base = bufs[0].base, .iov_len = bufs[0].len};
    return begin(uv, request, wal_io_system.write_at(wal_io_system.self, file, &part, 1, offset, 0), done);
}

int uv_fs_fdatasync(uv_loop_t *uv, uv_fs_t *request, uv_file file, uv_fs_cb done) {
    host_of(current_host())->no_wait = true;  // one of libuv's threads waits, not the loop
    int synced = wal_io_system.sync(wal_io_system.self, file);
    host_of(current_host())->no_wait = false;
    return begin(uv, request, synced, done);
}

void uv_fs_req_cleanup(uv_fs_t *request) {
    (void)request;
}
