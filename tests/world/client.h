// Clients: each does one call at a time, repeats it until its outcome is known, and tells the ledger.
#ifndef BATON_TESTS_WORLD_CLIENT_H
#define BATON_TESTS_WORLD_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

enum { CLIENTS_MAX = 10 };

// On a host of its own. `watcher`: it follows all changes instead.
void client_start(int host, bool watcher);
// No new calls from now on.
void clients_stop(void);
bool clients_are_idle(void);
void clients_explain(void);  // who is not, on standard error
// Closes their channels; later their hosts end.
void clients_close(void);
void clients_leave(void);
void clients_reset(void);
uint64_t clients_ended(void);    // calls, so far
uint64_t clients_watched(void);  // changes that watches were told

#endif
