// Environment variables, as all our programs read them.
#ifndef BATON_BASE_ENV_H
#define BATON_BASE_ENV_H

#include <stdlib.h>

// The variable's value. NULL: unset, or empty, as an unfilled line in a systemd EnvironmentFile leaves it.
static inline const char *env_get(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

#endif
