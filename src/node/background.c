// Threads for long work: node/background.h.
#include "node/background.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "base/mem.h"

// In the scheduler's weights about a tenth of a thread that has not lowered its priority.
enum { NICE = 10 };

struct background {
    uv_thread_t thread;
    uv_async_t ended;
    void (*work)(void *user);
    void (*done)(void *user);
    void *user;
};

static void run(void *user) {
    struct background *b = user;
    setpriority(PRIO_PROCESS, 0, NICE);  // of this thread alone; lowering it is always allowed
    b->work(b->user);
    uv_async_send(&b->ended);
}

static void closed(uv_handle_t *handle) {
    struct background *b = handle->data;
    void (*done)(void *user) = b->done;
    void *of = b->user;
    free(b);
    done(of);
}

static void ended(uv_async_t *async) {
    struct background *b = async->data;
    uv_thread_join(&b->thread);
    uv_close((uv_handle_t *)async, closed);
}

static void discard(uv_handle_t *handle) {
    free(handle->data);
}

enum error_code background_run(uv_loop_t *loop, void (*work)(void *user), void (*done)(void *user), void *user,
                               struct error *error) {
    struct background *b = mem_alloc(sizeof *b);
    *b = (struct background){.work = work, .done = done, .user = user};
    int failed = uv_async_init(loop, &b->ended, ended);
    if (failed != 0) {
        free(b);
        return error_set(error, ERR_NO_MEMORY, "no thread: %s", uv_strerror(failed));
    }
    b->ended.data = b;
    failed = uv_thread_create(&b->thread, run, b);
    if (failed != 0) {
        uv_close((uv_handle_t *)&b->ended, discard);
        return error_set(error, ERR_NO_MEMORY, "no thread: %s", uv_strerror(failed));
    }
    return OK;
}
