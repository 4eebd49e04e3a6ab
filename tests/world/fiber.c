// Threads as fibers: one runs at a time, and gives way only where it waits, so that a run can be repeated. What nodes use of
// pthread and semaphores is wrapped by the linker (--wrap) and comes here.
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/array.h"
#include "base/mem.h"
#include "context.h"
#include "world.h"

enum { STACK_BYTES = 512 * KIB, GUARD_BYTES = 4 * KIB, POOL_MAX = 64, SIGNAL_US = 5 };

enum fiber_state { RUNNING, PARKED, SLEEPING, WAITING, ENDED };

struct fiber {
    struct context context;
    void *stack;
    int host;
    void (*run)(void *user);
    void *user;
    enum fiber_state state;
    bool woken;        // while it was not parked
    bool held;         // it was to go on while its host stood still
    uint64_t wake_at;  // when it goes on; UINT64_MAX: not decided
    uint64_t wakes;    // the number of the event for that: earlier ones are void
    const void *on;    // WAITING: the condition or semaphore
    struct fiber *joiner;
};

static struct context scheduler;
static struct fiber *current;
static int host = NO_HOST;
static struct fiber **fibers;
static size_t fiber_count, fiber_cap;
static void *pool[POOL_MAX];
static size_t pool_count;
static uint64_t paused;  // a bit for each host

int current_host(void) {
    return host;
}

void set_current_host(int to) {
    host = to;
}

struct fiber *fiber_current(void) {
    return current;
}

static void *take_stack(void) {
    if (pool_count > 0) {
        return pool[--pool_count];
    }
    void *stack = mem_map(STACK_BYTES);
    mprotect(stack, GUARD_BYTES, PROT_NONE);  // a stack that is too small is seen
    return stack;
}

static void give_stack(void *stack) {
    if (pool_count < POOL_MAX) {
        pool[pool_count++] = stack;
    } else {
        mem_unmap(stack, STACK_BYTES);
    }
}

static void main_of(void *user) {
    struct fiber *fiber = user;
    fiber->run(fiber->user);
    fiber->state = ENDED;
    if (fiber->joiner != NULL) {
        fiber_wake(fiber->joiner, world_now());
    }
    context_switch(&fiber->context, &scheduler, true);
    assert(false);
}

// Runs the fiber until it stops or ends.
static void resume(struct fiber *fiber) {
    if ((paused >> fiber->host & 1) != 0) {
        fiber->held = true;
        return;
    }
    assert(current == NULL && fiber->state != RUNNING && fiber->state != ENDED);
    fiber->state = RUNNING;
    fiber->on = NULL;
    current = fiber;
    host = fiber->host;
    context_switch(&scheduler, &fiber->context, false);
    current = NULL;
    host = NO_HOST;
    if (fiber->state == ENDED) {
        give_stack(fiber->stack);
        fiber->stack = NULL;
    }
}

static void on_wake(void *a, uint64_t number) {
    struct fiber *fiber = a;
    if (fiber->wakes == number && fiber->state != ENDED) {
        fiber->wake_at = UINT64_MAX;
        resume(fiber);
    }
}

static void schedule(struct fiber *fiber, uint64_t at_us) {
    if (at_us < fiber->wake_at) {
        fiber->wake_at = at_us;
        world_at(at_us, on_wake, fiber, ++fiber->wakes);
    }
}

// Back to the scheduler. The fiber goes on once on_wake comes for it.
static void stop_as(enum fiber_state state) {
    struct fiber *fiber = current;
    assert(fiber != NULL);
    fiber->state = state;
    context_switch(&fiber->context, &scheduler, false);
}

static struct fiber *free_fiber(void) {
    for (size_t i = 0; i < fiber_count; i++) {
        if (fibers[i]->run == NULL) {
            return fibers[i];
        }
    }
    struct fiber *fiber = mem_zalloc(sizeof *fiber);
    array_reserve(fibers, fiber_cap, fiber_count + 1);
    return fibers[fiber_count++] = fiber;
}

struct fiber *fiber_new(int of_host, void (*run)(void *user), void *user) {
    struct fiber *fiber = free_fiber();
    uint64_t wakes = fiber->wakes;  // events of its former life are void
    *fiber = (struct fiber){.host = of_host, .run = run, .user = user, .stack = take_stack(), .state = PARKED};
    fiber->wakes = wakes + 1;
    fiber->wake_at = UINT64_MAX;
    context_make(&fiber->context, fiber->stack, STACK_BYTES, main_of, fiber);
    schedule(fiber, world_now());
    return fiber;
}

bool fiber_has_ended(const struct fiber *fiber) {
    return fiber->state == ENDED;
}

void fiber_free(struct fiber *fiber) {
    assert(fiber->state == ENDED);
    fiber->run = NULL;  // to be used again
}

void fiber_park(void) {
    if (!current->woken) {
        stop_as(PARKED);
    }
    current->woken = false;
}

void fiber_park_until(uint64_t at_us) {
    if (!current->woken) {
        schedule(current, at_us);
        stop_as(PARKED);
    }
    current->woken = false;
}

void fiber_wake(struct fiber *fiber, uint64_t at_us) {
    if (fiber->state == PARKED) {
        schedule(fiber, at_us);
    } else {
        fiber->woken = true;
    }
}

void fiber_sleep(uint64_t us) {
    schedule(current, world_now() + us);
    stop_as(SLEEPING);
}

void fibers_pause(int of_host, bool pause) {
    uint64_t bit = UINT64_C(1) << of_host;
    paused = pause ? paused | bit : paused & ~bit;
    for (size_t i = 0; i < fiber_count && !pause; i++) {
        struct fiber *fiber = fibers[i];
        if (fiber->run != NULL && fiber->host == of_host && fiber->held) {
            fiber->held = false;
            schedule(fiber, world_now());
        }
    }
}

// --- threads ---

struct thread {
    void *(*run)(void *user);
    void *user;
};

static void run_thread(void *user) {
    struct thread thread = *(struct thread *)user;
    free(user);
    thread.run(thread.user);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *user), void *user);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *user), void *user) {
    (void)attr;
    struct thread *copy = mem_alloc(sizeof *copy);
    *copy = (struct thread){.run = run, .user = user};
    *thread = (pthread_t)(uintptr_t)fiber_new(host, run_thread, copy);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result) {
    (void)result;
    struct fiber *fiber = (struct fiber *)(uintptr_t)thread;
    while (fiber->state != ENDED) {
        fiber->joiner = current;
        fiber_park();
    }
    fiber_free(fiber);
    return 0;
}

// Only the fiber that runs can hold a mutex, but where one waits with a condition or for the disk, and there none is held.
#define MUTEX_CALL(name)                                                                                                    \
    int __wrap_##name(pthread_mutex_t *mutex);                                                                              \
    int __wrap_##name(pthread_mutex_t *mutex) {                                                                             \
        (void)mutex;                                                                                                        \
        return 0;                                                                                                           \
    }
MUTEX_CALL(pthread_mutex_lock)
MUTEX_CALL(pthread_mutex_unlock)

static void wait_on(const void *what) {
    current->on = what;
    stop_as(WAITING);
}

// Wakes one that waits, a moment later.
static void wake_one(const void *what) {
    for (size_t i = 0; i < fiber_count; i++) {
        struct fiber *fiber = fibers[i];
        if (fiber->run != NULL && fiber->state == WAITING && fiber->on == what) {
            fiber->on = NULL;
            schedule(fiber, world_now() + SIGNAL_US);
            return;
        }
    }
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    (void)mutex;
    wait_on(condition);
    return 0;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    (void)mutex;
    uint64_t local_us = (uint64_t)until->tv_sec * US_PER_S + (uint64_t)until->tv_nsec / 1000;
    schedule(current, host_clock_at(host, local_us));
    wait_on(condition);
    return 0;  // a spurious wake is allowed: the caller looks again
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_signal(pthread_cond_t *condition) {
    wake_one(condition);
    return 0;
}

// --- semaphores: the first word of the caller's is its count ---

int __wrap_sem_init(sem_t *semaphore, int shared, unsigned value);
int __wrap_sem_init(sem_t *semaphore, int shared, unsigned value) {
    (void)shared;
    memcpy(semaphore, &value, sizeof value);
    return 0;
}

int __wrap_sem_destroy(sem_t *semaphore);
int __wrap_sem_destroy(sem_t *semaphore) {
    (void)semaphore;
    return 0;
}

int __wrap_sem_post(sem_t *semaphore);
int __wrap_sem_post(sem_t *semaphore) {
    unsigned value;
    memcpy(&value, semaphore, sizeof value);
    value++;
    memcpy(semaphore, &value, sizeof value);
    wake_one(semaphore);
    return 0;
}

int __wrap_sem_wait(sem_t *semaphore);
int __wrap_sem_wait(sem_t *semaphore) {
    unsigned value;
    for (memcpy(&value, semaphore, sizeof value); value == 0; memcpy(&value, semaphore, sizeof value)) {
        wait_on(semaphore);
    }
    value--;
    memcpy(semaphore, &value, sizeof value);
    return 0;
}

// --- sleeping, and what has no meaning here ---

int __wrap_nanosleep(const struct timespec *span, struct timespec *left);
int __wrap_nanosleep(const struct timespec *span, struct timespec *left) {
    (void)left;
    fiber_sleep((uint64_t)span->tv_sec * US_PER_S + (uint64_t)span->tv_nsec / 1000);
    return 0;
}

int __wrap_setpriority(int which, unsigned who, int priority);
int __wrap_setpriority(int which, unsigned who, int priority) {
    (void)which;
    (void)who;
    (void)priority;
    return 0;
}
