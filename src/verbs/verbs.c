// The list of all verbs.
#include "verbs/verbs.h"

const struct verb *const all_verbs[] = {
#define X(name) &verb_##name,
    VERBS(X)
#undef X
        NULL,
};
