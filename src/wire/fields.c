// Checks of request fields that several messages share.
#include "wire/fields.h"

#include "wire/command.h"
#include "wire/protobuf_lite.h"

enum error_code wire_length_check(struct slice bytes, size_t max, const char *field, struct error *error) {
    if (bytes.len <= max) {
        return OK;
    }
    return error_set(error, ERR_INVALID, "%s: %zu bytes; at most %zu are allowed", field, bytes.len, max);
}

enum error_code wire_key_check(struct slice key, const char *field, struct error *error) {
    if (key.len == 0) {
        return error_set(error, ERR_INVALID, "%s: is empty; 1 to %d bytes are allowed", field, KEY_MAX);
    }
    return wire_length_check(key, KEY_MAX, field, error);
}

enum error_code wire_command_check(const struct state_command *command, struct error *error) {
    size_t size = wire_command_size(command) + PB_TAG_MAX + PB_VARINT_MAX;
    if (size <= COMMAND_MAX) {
        return OK;
    }
    return error_set(error, ERR_TOO_LARGE,
                     "the command would take %zu bytes of the log; at most %d are allowed: use a smaller value", size,
                     COMMAND_MAX);
}
