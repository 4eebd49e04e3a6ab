// The descriptor set, built by protoc from the original .proto files and included here as numbers.
#include "wire/descriptor.h"

static const uint8_t descriptor_set[] = {
#include "descriptor_set.inc"
};

struct slice wire_descriptor_set(void) {
    return slice_of(descriptor_set, sizeof descriptor_set);
}
