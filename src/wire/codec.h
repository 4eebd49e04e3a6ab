// Protobuf's wire format (protobuf.dev, "Encoding") to and from the structs that protoc-gen-baton makes of baton's .proto
// files. One reader and one writer, driven by tables (wire/schema.h), serve every message.
//
// The reader is strict where protobuf leaves a choice, because the bytes come from outside: a known field with a wrong wire
// type, a number that does not fit its type, a varint of more than 10 bytes or more than 64 bits, a length beyond the end,
// a tag out of range and a group are malformed. Unknown fields are skipped. As protobuf specifies, of a field that
// occurs twice the last value counts, occurrences of a message are merged, and of a oneof the last member counts.
//
// The writer produces the bytes of protobuf's own libraries: fields by number, without zero and empty values where presence
// is implicit.
#ifndef BATON_WIRE_CODEC_H
#define BATON_WIRE_CODEC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "wire/schema.h"

// Fills `message`, a struct of `type`. Slices point into `bytes`; lists are in the arena (which may be NULL where the type
// and what it holds have none). A list with more items than its rule allows is refused before memory is taken for it.
// ERR_MALFORMED naming the message, ERR_INVALID for such a list, ERR_NO_MEMORY at the arena's limit; then the contents of
// `message` are undefined. `error` may be NULL.
enum error_code pb_decode(struct arena *arena, const struct pb_type *type, struct slice bytes, void *message,
                          struct error *error);

// The same for log entries, which every node must understand fully and alike. An unknown or transient field is
// ERR_UNKNOWN_COMMAND; two members of a oneof, or a length outside a field's limits, are ERR_MALFORMED. The form of a text
// is not checked: it was valid when the leader proposed the entry, and rules may change.
enum error_code pb_decode_persisted(struct arena *arena, const struct pb_type *type, struct slice bytes, void *message,
                                    struct error *error);

// The size of the encoded message in bytes.
size_t pb_size(const struct pb_type *type, const void *message);

// Writes the message's `size` bytes (its pb_size) to `at`, which the caller has reserved.
void pb_write(const struct pb_type *type, const void *message, uint8_t *at, size_t size);

// Appends the encoded message.
void pb_encode(const struct pb_type *type, const void *message, struct buf *out);

// Checks the fields of a decoded request by their rules, and sorts its maps by key, so that one map has one encoding. OK, or
// ERR_INVALID with a message that names the field ("session.client_id: ...") and what is allowed.
enum error_code pb_check(const struct pb_type *type, void *message, struct error *error);

#endif
