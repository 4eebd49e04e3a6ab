// Workers: each registers, sends heartbeats, and now and then is silent or starts anew, as a new instance.
#ifndef BATON_TESTS_WORLD_WORKER_H
#define BATON_TESTS_WORLD_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { WORKERS_MAX_HERE = 4 };

// On a host of its own.
void worker_start(int host);
// A committed command says that a worker is offline as it has missed its heartbeats: was that so?
void worker_declared_offline(struct slice id, uint64_t generation, uint64_t founded_us);
void workers_close(void);
void workers_leave(void);
void workers_reset(void);
uint64_t workers_offline(void);  // so often

#endif
