// Descriptors of this node's services, for server reflection.
#ifndef BATON_WIRE_DESCRIPTOR_H
#define BATON_WIRE_DESCRIPTOR_H

#include "base/slice.h"

// A serialized google.protobuf.FileDescriptorSet: every .proto file of baton, gRPC's health and reflection, and what they
// import. Lives as long as the program.
struct slice wire_descriptor_set(void);

#endif
