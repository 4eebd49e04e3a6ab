// Server reflection (grpc.reflection.v1 and v1alpha, the same on the wire): lets grpcurl and others call the server without
// its .proto files.
//
// Requests are answered independently: a file is always sent with its transitive imports, so a stream has no state. Our
// files are proto3 and declare no extensions.
#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "reflection.pb-c.h"
#include "rpc/builtin.h"
#include "rpc/descriptors.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;

#define ASKS(what)    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define ANSWERS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what

struct rpc_reflection {
    struct rpc_server *server;
    struct descriptors *descriptors;
    struct slice *files;  // of one answer
    ProtobufCBinaryData *packed_files;
    struct buf out;
    struct rpc_method method;
    struct rpc_service v1;
    struct rpc_service v1alpha;
};

static ProtobufCBinaryData binary(struct slice s) {
    return (ProtobufCBinaryData){.len = s.len, .data = (uint8_t *)s.data};
}

static struct slice slice_of_binary(ProtobufCBinaryData data) {
    return slice_of(data.data, data.len);
}

static void answer(struct rpc_reflection *reflection, struct rpc_call call, const response_message *response) {
    buf_clear(&reflection->out);
    const size_t size = grpc__reflection__v1__server_reflection_response__get_packed_size(response);
    reflection->out.len =
        grpc__reflection__v1__server_reflection_response__pack(response, buf_reserve(&reflection->out, size));
    if (!rpc_send(reflection->server, call, buf_slice(&reflection->out))) {
        rpc_finish(reflection->server, call, RPC_RESOURCE_EXHAUSTED, "answers were not read");
    }
}

static void answer_error(struct rpc_reflection *reflection, struct rpc_call call, response_message *response,
                         enum rpc_status status, const char *message) {
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    error.error_code = (int32_t)status;
    error.error_message = binary(slice_of_str(message));
    response->message_response_case = ANSWERS(ERROR_RESPONSE);
    response->error_response = &error;
    answer(reflection, call, response);
}

static void answer_file(struct rpc_reflection *reflection, struct rpc_call call, response_message *response, int file,
                        const char *not_found) {
    if (file < 0) {
        answer_error(reflection, call, response, RPC_NOT_FOUND, not_found);
        return;
    }
    const size_t count = descriptors_closure(reflection->descriptors, file, reflection->files);
    for (size_t i = 0; i < count; i++) {
        reflection->packed_files[i] = binary(reflection->files[i]);
    }
    Grpc__Reflection__V1__FileDescriptorResponse files = GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    files.n_file_descriptor_proto = count;
    files.file_descriptor_proto = reflection->packed_files;
    response->message_response_case = ANSWERS(FILE_DESCRIPTOR_RESPONSE);
    response->file_descriptor_response = &files;
    answer(reflection, call, response);
}

static void answer_no_extensions(struct rpc_reflection *reflection, struct rpc_call call, response_message *response,
                                 ProtobufCBinaryData type) {
    if (!descriptors_is_message(reflection->descriptors, slice_of_binary(type))) {
        answer_error(reflection, call, response, RPC_NOT_FOUND, "no message of that name");
        return;
    }
    Grpc__Reflection__V1__ExtensionNumberResponse none = GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    none.base_type_name = type;
    response->message_response_case = ANSWERS(ALL_EXTENSION_NUMBERS_RESPONSE);
    response->all_extension_numbers_response = &none;
    answer(reflection, call, response);
}

static void answer_services(struct rpc_reflection *reflection, struct rpc_call call, response_message *response) {
    size_t count;
    const struct rpc_service *const *offered = rpc_server_services(reflection->server, &count);
    Grpc__Reflection__V1__ServiceResponse *services = mem_alloc(count * sizeof *services);
    Grpc__Reflection__V1__ServiceResponse **pointers = mem_alloc(count * sizeof *pointers);
    for (size_t i = 0; i < count; i++) {
        grpc__reflection__v1__service_response__init(&services[i]);
        services[i].name = binary(slice_of_str(offered[i]->name));
        pointers[i] = &services[i];
    }
    Grpc__Reflection__V1__ListServiceResponse list = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    list.n_service = count;
    list.service = pointers;
    response->message_response_case = ANSWERS(LIST_SERVICES_RESPONSE);
    response->list_services_response = &list;
    answer(reflection, call, response);
    free(pointers);
    free(services);
}

static void on_message(void *user, struct rpc_call call, struct slice message) {
    struct rpc_reflection *reflection = user;
    const struct descriptors *descriptors = reflection->descriptors;
    request_message *request = grpc__reflection__v1__server_reflection_request__unpack(NULL, message.len, message.data);
    if (request == NULL) {
        rpc_finish(reflection->server, call, RPC_INTERNAL, "the message is not a ServerReflectionRequest");
        return;
    }
    response_message response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    response.valid_host = request->host;
    response.original_request = request;
    switch (request->message_request_case) {
    case ASKS(FILE_BY_FILENAME):
        answer_file(reflection, call, &response,
                    descriptors_file_by_name(descriptors, slice_of_binary(request->file_by_filename)),
                    "no file of that name");
        break;
    case ASKS(FILE_CONTAINING_SYMBOL):
        answer_file(reflection, call, &response,
                    descriptors_file_by_symbol(descriptors, slice_of_binary(request->file_containing_symbol)),
                    "no file defines that symbol");
        break;
    case ASKS(FILE_CONTAINING_EXTENSION):
        answer_error(reflection, call, &response, RPC_NOT_FOUND, "no such extension");
        break;
    case ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE):
        answer_no_extensions(reflection, call, &response, request->all_extension_numbers_of_type);
        break;
    case ASKS(LIST_SERVICES):
        answer_services(reflection, call, &response);
        break;
    default:
        answer_error(reflection, call, &response, RPC_INVALID_ARGUMENT, "the request is none that this server knows");
        break;
    }
    grpc__reflection__v1__server_reflection_request__free_unpacked(request, NULL);
}

static void on_half_close(void *user, struct rpc_call call) {
    struct rpc_reflection *reflection = user;
    rpc_finish(reflection->server, call, RPC_OK, NULL);
}

struct rpc_reflection *rpc_reflection_new(struct rpc_server *server, struct slice descriptor_set) {
    struct rpc_reflection *reflection = mem_zalloc(sizeof *reflection);
    reflection->server = server;
    reflection->descriptors = descriptors_new(descriptor_set);
    assert(reflection->descriptors != NULL);
    const size_t files = descriptors_file_count(reflection->descriptors);
    reflection->files = mem_alloc(files * sizeof *reflection->files);
    reflection->packed_files = mem_alloc(files * sizeof *reflection->packed_files);
    reflection->method = (struct rpc_method){
        .name = "ServerReflectionInfo",
        .kind = RPC_BIDI,
        .on_message = on_message,
        .on_half_close = on_half_close,
    };
    reflection->v1 = (struct rpc_service){
        .name = "grpc.reflection.v1.ServerReflection",
        .methods = &reflection->method,
        .method_count = 1,
        .user = reflection,
    };
    reflection->v1alpha = reflection->v1;
    reflection->v1alpha.name = "grpc.reflection.v1alpha.ServerReflection";
    rpc_server_add_service(server, &reflection->v1);
    rpc_server_add_service(server, &reflection->v1alpha);
    return reflection;
}

void rpc_reflection_free(struct rpc_reflection *reflection) {
    if (reflection == NULL) {
        return;
    }
    descriptors_free(reflection->descriptors);
    free(reflection->files);
    free(reflection->packed_files);
    buf_free(&reflection->out);
    free(reflection);
}
