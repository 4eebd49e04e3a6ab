// What the tests of state share: a state machine, and commands to apply to it.
#ifndef BATON_TESTS_STATE_MACHINE_H
#define BATON_TESTS_STATE_MACHINE_H

#include "base/array.h"
#include "base/mem.h"
#include "random.h"
#include "state/state.h"
#include "unit.h"

struct machine {
    struct raft_slab *slab;
    struct state *state;
    raft_index index;
    struct state_result result;  // of the last command
};

// Set up anew for each test.
extern struct machine m;

int machine_setup(void **state);
int machine_teardown(void **state);  // asserts that no entry is still held

#define MACHINE_TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

struct slice text(const char *s);

// Applies the command as the next entry, which holds its key and value.
void apply_to(struct machine *machine, struct pb_command command);

struct pb_command put_command(const char *key, const char *value);
struct pb_command delete_command(const char *key);
// Cloud gcp, 4 slots, label zone=b.
struct pb_command register_command(const char *id, const char *instance, const char *address);

struct pb_command expecting(struct pb_command command, uint64_t revision);
struct pb_command in_session(struct pb_command command, const char *client, uint64_t sequence, uint64_t acknowledged_below);

void assert_value(const char *key, const char *value, uint64_t revision);
void assert_missing(const char *key);

#endif
