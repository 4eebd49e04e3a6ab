// An index over a serialized google.protobuf.FileDescriptorSet: which .proto file defines a symbol, and what that file
// imports. It reads names only (field numbers: google/protobuf/descriptor.proto) and gives the files as they are in the set.
#ifndef BATON_RPC_DESCRIPTORS_H
#define BATON_RPC_DESCRIPTORS_H

#include "base/slice.h"

struct descriptors;

// `set` is borrowed until descriptors_free. NULL: not a FileDescriptorSet, or an imported file is missing.
struct descriptors *descriptors_new(struct slice set);
void descriptors_free(struct descriptors *descriptors);

size_t descriptors_file_count(const struct descriptors *descriptors);

// The number of the file of this name, or -1.
int descriptors_file_by_name(const struct descriptors *descriptors, struct slice name);

// The number of the file that defines this fully qualified name ("baton.v1.ControlService.Put"), or -1. Services, methods,
// messages, fields, oneofs, enums and their values have names.
int descriptors_file_by_symbol(const struct descriptors *descriptors, struct slice symbol);

bool descriptors_is_message(const struct descriptors *descriptors, struct slice symbol);

// Sets files[0 .. n) to the serialized form of that file and of all that it imports, directly or not, itself first; returns
// n. `files` has room for descriptors_file_count.
size_t descriptors_closure(const struct descriptors *descriptors, int file, struct slice *files);

#endif
