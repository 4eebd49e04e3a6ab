// Checks of request fields that several messages share. Each names the field and what is allowed.
#ifndef BATON_WIRE_FIELDS_H
#define BATON_WIRE_FIELDS_H

#include "state/state.h"

// 1 to KEY_MAX bytes, any.
enum error_code wire_key_check(struct slice key, const char *field, struct error *error);

// At most `max` bytes.
enum error_code wire_length_check(struct slice bytes, size_t max, const char *field, struct error *error);

// The command as the log will hold it, with any time, is at most COMMAND_MAX.
enum error_code wire_command_check(const struct state_command *command, struct error *error);

#endif
