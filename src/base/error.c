// Errors, and the context that callers add.
#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"

enum error_code error_set(struct error *error, enum error_code code, const char *format, ...) {
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        // Into a copy first: an argument may be the old message itself.
        char message[ERROR_MESSAGE_MAX];
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        error->code = code;
        memcpy(error->message, message, sizeof message);
    }
    return code;
}

enum error_code error_wrap(struct error *error, const char *format, ...) {
    assert(error != NULL);
    char message[ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    size_t len = strlen(message);
    int room = (int)(sizeof message - len);  // with its NUL; the rest is cut
    snprintf(message + len, (size_t)room, ": %.*s", room > 3 ? room - 3 : 0, error->message);
    memcpy(error->message, message, sizeof message);
    return error->code;
}

enum error_code error_of_errno(int reason) {
    return reason == ENOSPC || reason == EDQUOT ? ERR_NO_SPACE : ERR_IO;
}

const char *error_name(enum error_code code) {
    static const char *const names[] = {
#define X(code, text) [code] = (text),
        BATON_ERRORS(X)
#undef X
    };
    assert((size_t)code < ARRAY_COUNT(names));
    return names[code];
}
