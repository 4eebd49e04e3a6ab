// The types of the tables that protoc-gen-baton makes of baton's messages and calls, and that src/wire/codec.c and check.c
// read. Their source is the .proto files with their options (proto/baton/v1/options.proto).
#ifndef BATON_WIRE_SCHEMA_H
#define BATON_WIRE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Also how a value is stored: U64 for int64 and uint64, U32 for uint32 and enums, BYTES for bytes and string.
enum pb_kind { PB_KIND_U64, PB_KIND_U32, PB_KIND_BOOL, PB_KIND_DOUBLE, PB_KIND_BYTES, PB_KIND_MESSAGE };

enum pb_presence {
    PB_IMPLICIT,  // proto3: zero or empty is absent
    PB_EXPLICIT,  // `holder` is a bool
    PB_CHOICE,    // in a oneof: `holder` is a uint32_t, the number of the set field; 0: none
    PB_REPEATED,  // the value is a pointer to items, `holder` their number, a size_t
};

enum pb_form { PB_FORM_UNSPECIFIED, PB_FORM_ID, PB_FORM_ADDRESS, PB_FORM_CLOUD, PB_FORM_UTF8, PB_FORM_WORKER_CLOUD };

struct pb_type;

struct pb_field_type {
    const char *name;
    const struct pb_type *message;  // of PB_KIND_MESSAGE
    uint32_t number;
    uint8_t kind;      // enum pb_kind
    uint8_t presence;  // enum pb_presence
    uint16_t offset;   // of the value in the struct, in bytes
    uint16_t holder;   // see enum pb_presence
    // Rules for pb_check, from the field's options; 0: none. `ruled`: it has any, or a field of its message has.
    bool ruled;
    uint8_t form;    // enum pb_form
    bool optional;   // empty also satisfies `form`
    bool transient;  // in requests only, never in the log
    uint32_t min_bytes;
    uint32_t max_bytes;  // of a map: of each key and value
    uint32_t max_items;
    uint64_t min_value;
};

struct pb_type {
    const char *name;                    // within its package, without the messages around it
    size_t size;                         // of the struct, in bytes
    const struct pb_field_type *fields;  // by number, rising
    size_t field_count;
    size_t repeated_count;  // fields that are repeated
    const uint8_t *places;  // by field number: 1 + the field's index in `fields`; 0: no such field
    uint32_t last_number;
    bool is_map_entry;  // then the struct is struct slice_pair
};

// Access of options.proto: how a call is answered.
enum pb_access { PB_ACCESS_UNSPECIFIED, PB_ACCESS_WRITE, PB_ACCESS_READ, PB_ACCESS_LOCAL };

struct pb_service;

struct pb_method {
    const char *name;
    const char *path;  // "/baton.v1.ControlService/Put"
    const struct pb_service *service;
    const struct pb_type *request;
    const struct pb_type *response;
    enum pb_access access;
    const char *const *roles;  // of certificates that may call, NULL-terminated; NULL: the service's
    bool server_streaming;
};

struct pb_service {
    const char *name;  // with its package
    const struct pb_method *const *methods;
    size_t method_count;
    const char *const *roles;  // of certificates that may call, NULL-terminated; NULL: all
};

#endif
