// The environment's variables, as every program of ours reads them.
#ifndef BATON_BASE_ENV_H
#define BATON_BASE_ENV_H

#include <stdlib.h>

// NULL: unset, or empty, as a line of an EnvironmentFile that is not filled in leaves it.
static inline const char *env_get(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

#endif
