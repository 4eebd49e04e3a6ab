// The queue behind node/answers.h.
#include "node/answers.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"

struct waiting {
    struct waiting *next;
    struct waiting_read read;
    size_t len;
    uint8_t request[];
};

struct answers {
    struct answers_maker maker;
    uint64_t spent_us;  // in this turn
    struct waiting *first;
    struct waiting **end;
    size_t count;
};

struct answers *answers_new(const struct answers_maker *maker) {
    struct answers *answers = mem_zalloc(sizeof *answers);
    answers->maker = *maker;
    answers->end = &answers->first;
    return answers;
}

static struct waiting *take(struct answers *answers) {
    struct waiting *waiting = answers->first;
    answers->first = waiting->next;
    if (answers->first == NULL) {
        answers->end = &answers->first;
    }
    answers->count--;
    return waiting;
}

void answers_free(struct answers *answers) {
    while (answers->first != NULL) {
        free(take(answers));
    }
    free(answers);
}

static void make(struct answers *answers, const struct waiting_read *read, struct slice request) {
    uint64_t began_us = answers->maker.now_us();
    answers->maker.make(answers->maker.user, read, request);
    answers->spent_us += answers->maker.now_us() - began_us;
}

bool answers_ask(struct answers *answers, const struct waiting_read *read, struct slice request) {
    if (answers->first == NULL && answers->spent_us < ANSWERS_TURN_US) {
        make(answers, read, request);
        return true;
    }
    if (answers->count == ANSWERS_MAX) {
        return false;
    }
    struct waiting *waiting = mem_alloc(sizeof *waiting + request.len);
    *waiting = (struct waiting){.read = *read, .len = request.len};
    if (request.len > 0) {
        memcpy(waiting->request, request.data, request.len);
    }
    *answers->end = waiting;
    answers->end = &waiting->next;
    answers->count++;
    return true;
}

void answers_turn(struct answers *answers) {
    answers->spent_us = 0;
    while (answers->first != NULL && answers->spent_us < ANSWERS_TURN_US) {
        struct waiting *waiting = take(answers);
        if (answers->maker.wanted(answers->maker.user, waiting->read.call)) {
            make(answers, &waiting->read, slice_of(waiting->request, waiting->len));
        }
        free(waiting);
    }
}

bool answers_waiting(const struct answers *answers) {
    return answers->first != NULL;
}
