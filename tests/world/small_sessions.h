// Bounds of sessions that a short run reaches: the worlds have src/state/session.c compiled with these (meson.build), and
// model it.
#ifndef BATON_TESTS_WORLD_SMALL_SESSIONS_H
#define BATON_TESTS_WORLD_SMALL_SESSIONS_H

#include "base/limits.h"

#define SESSIONS_MAX        10
#define SESSION_RESULTS_MAX 8
#define SESSIONS_BYTES_MAX  3000

#endif
