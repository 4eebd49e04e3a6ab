// Messages as JSON, for files that people read with jq: canonical, so that one message has one form, and strict, so that
// another form is refused. Driven by the tables (wire/schema.h).
//
// The form: members in the order of the fields' numbers, under the fields' names, without white space. What protobuf leaves
// out is left out. Numbers are decimal, an int64 as the uint64 of its bits; enums are numbers; bools true or false. A text
// with a form (FORM_ID and the others of options.proto) is a string, in which ", \ and what is below U+0020 are escaped, the
// last as \u00xx; if its bytes are not UTF-8 without NUL, it is an array of one string of base64. Other bytes are a string
// of base64. Of a oneof the member that is set. A list is an array; a map is an array of arrays of key and value.
#ifndef BATON_WIRE_JSON_H
#define BATON_WIRE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "wire/schema.h"

// Appends the members of the message's object, without the braces, so that a line may have members of its own behind them.
// The message has no double: a number has many forms.
void pb_json_write(const struct pb_type *type, const void *message, struct buf *out);

// Reads what pb_json_write has written. Slices point into `members` or the arena; lists are in the arena. ERR_MALFORMED,
// naming the place: other bytes, an unknown field among them, or more items than a field's rule allows; ERR_NO_MEMORY at the
// arena's limit. Then the contents of `message` are undefined. `error` may be NULL.
enum error_code pb_json_read(struct arena *arena, const struct pb_type *type, struct slice members, void *message,
                             struct error *error);

#endif
