// Switching stacks: context.h. What a call must keep by the System V ABI for x86-64 is pushed, and popped from the other
// one.
#include "context.h"

#include <stdint.h>

#ifndef __x86_64__
#error "context_jump is written for x86-64: add this processor's"
#endif

#if WITH_SHADOW
#include <sanitizer/common_interface_defs.h>
#endif

void context_jump(void **save, void *to);
void context_enter(void);
void context_begin(struct context *context);

__asm__(".text\n"
        ".globl context_jump\n"
        ".type context_jump, @function\n"
        "context_jump:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size context_jump, . - context_jump\n"
        // The first thing on a new stack; rbx is its context.
        ".globl context_enter\n"
        ".type context_enter, @function\n"
        "context_enter:\n"
        "    movq %rbx, %rdi\n"
        "    callq context_begin\n"
        "    ud2\n"
        ".size context_enter, . - context_enter\n");

// What context_jump pops from a new stack, and then nothing to return to: a call wants 16 bytes aligned.
struct start {
    void *r15, *r14, *r13, *r12;
    struct context *rbx;
    void *rbp;
    void (*enter)(void);
    void *none[2];
};

void context_make(struct context *context, void *stack, size_t stack_bytes, void (*run)(void *user), void *user) {
    uintptr_t top = ((uintptr_t)stack + stack_bytes) & ~(uintptr_t)15;
    struct start *start = (struct start *)(top - sizeof *start);
    *start = (struct start){.rbx = context, .enter = context_enter};
    *context = (struct context){.sp = start, .stack = stack, .stack_bytes = stack_bytes, .run = run, .user = user};
}

#if WITH_SHADOW

static struct context *left;  // the one from which the last switch came

static void arrive(void *shadow) {
    const void *stack;
    __sanitizer_finish_switch_fiber(shadow, &stack, &left->stack_bytes);
    left->stack = (void *)(uintptr_t)stack;  // of the thread's own stack only the sanitizer knows
}

void context_begin(struct context *context) {
    arrive(NULL);
    context->run(context->user);
}

void context_switch(struct context *from, struct context *to, bool ends) {
    left = from;
    __sanitizer_start_switch_fiber(ends ? NULL : &from->shadow, to->stack, to->stack_bytes);
    context_jump(&from->sp, to->sp);
    arrive(from->shadow);
}

#else

void context_begin(struct context *context) {
    context->run(context->user);
}

void context_switch(struct context *from, struct context *to, bool ends) {
    (void)ends;
    context_jump(&from->sp, to->sp);
}

#endif
