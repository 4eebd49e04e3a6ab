// `-o fields=PATH,...`: chosen members of what `-o json` prints, as lines of values between tabs, for scripts.
//
// A path is the names of members, with dots between: `node`, `fields.peer`. A list is gone through wherever a path meets
// one, and each of its items makes a line; several paths make the columns of one line as long as they go the same way. A
// value that is a text or a number is printed by itself, control characters escaped as in tables; an object or list in its
// place as JSON; what is not there as nothing.
#ifndef BATON_CTL_FIELDS_H
#define BATON_CTL_FIELDS_H

#include "base/buf.h"
#include "base/error.h"

enum { FIELDS_COLUMNS_MAX = 16 };

// ERR_INVALID: it is not a list of paths; the message says what is allowed.
enum error_code fields_check(const char *paths, struct error *error);

// Appends the lines of `json`: values one after another, as this program prints them (output.h), so it reads no other form.
void fields_print(const char *paths, struct slice json, struct buf *out);

#endif
