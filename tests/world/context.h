// A stack and what runs on it. The system's swapcontext asks the kernel for the signal mask at each switch, which here would
// be most of the time.
#ifndef BATON_TESTS_WORLD_CONTEXT_H
#define BATON_TESTS_WORLD_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
#define WITH_SHADOW 1
#else
#define WITH_SHADOW 0
#endif

struct context {
    void *sp;     // of one that does not run
    void *stack;  // its lowest byte
    size_t stack_bytes;
    void (*run)(void *user);
    void *user;
    void *shadow;  // what AddressSanitizer keeps of it
};

// `run(user)` on that stack, once somebody switches to it; it never returns.
void context_make(struct context *context, void *stack, size_t stack_bytes, void (*run)(void *user), void *user);

// Returns once somebody switches back to `from`. `ends`: nobody will.
void context_switch(struct context *from, struct context *to, bool ends);

#endif
