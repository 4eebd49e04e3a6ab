// TestLogNodeRestart: a real batond, alone in its cluster, is killed and started again, and has lost nothing it
// acknowledged. argv[1] is the batond to run.
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "baton/v1/control.pb.h"
#include "rpc/rpc.h"
#include "scratch.h"
#include "unit.h"
#include "wire/codec.h"

enum { WRITES = 100, PATIENCE_MS = 60000 };

static const char *batond;
static char directory[128];
static char address[32];
static char http_address[32];

// A port that was free a moment ago.
static int free_port(void) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_return_code(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    close(fd);
    return ntohs(in.sin_port);
}

static pid_t start_batond(void) {
    char data[160];
    char peers[64];
    snprintf(data, sizeof data, "%s/n1", directory);
    snprintf(peers, sizeof peers, "n1=%s/gcp", address);
    pid_t pid = fork();
    assert_return_code(pid, 0);
    if (pid == 0) {
        execl(batond, batond, "--node-id", "n1", "--cluster-id", "test", "--cloud", "gcp", "--data-dir", data, "--listen",
              address, "--http", http_address, "--peers", peers, "--bootstrap", (char *)NULL);
        perror(batond);
        _exit(127);
    }
    return pid;
}

static void end_batond(pid_t pid, int number, int expected_status) {
    int status;
    assert_return_code(kill(pid, number), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (number == SIGKILL) {
        assert_true(WIFSIGNALED(status));
    } else {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == expected_status);
    }
}

// --- one call at a time ---

struct client {
    uv_loop_t loop;
    struct rpc_runtime *runtime;
    struct rpc_channel *channel;
    bool done;
    enum rpc_status status;
    struct buf body;
};

static void client_open(struct client *client) {
    *client = (struct client){0};
    uv_loop_init(&client->loop);
    client->runtime = rpc_runtime_new(&client->loop, NULL);
    client->channel = rpc_channel_new(client->runtime, &(struct rpc_channel_options){.target = address});
}

static void client_close(struct client *client) {
    rpc_channel_close(client->channel);
    rpc_runtime_close(client->runtime);
    uv_run(&client->loop, UV_RUN_DEFAULT);
    uv_loop_close(&client->loop);
    buf_free(&client->body);
}

static void on_done(void *user, uint64_t tag, const struct rpc_result *result) {
    struct client *client = user;
    (void)tag;
    client->done = true;
    client->status = result->status;
    buf_clear(&client->body);
    buf_append_slice(&client->body, result->body);
}

static enum rpc_status call(struct client *client, const char *path, const struct buf *request) {
    client->done = false;
    rpc_channel_call(client->channel, &(struct rpc_request){.path = path,
                                                            .body = buf_slice(request),
                                                            .timeout_ms = PATIENCE_MS,
                                                            .wait_for_ready = true,
                                                            .user = client,
                                                            .on_done = on_done});
    while (!client->done) {
        uv_run(&client->loop, UV_RUN_ONCE);
    }
    return client->status;
}

// Until there is a leader; then exactly once.
static void put(struct client *client, int number) {
    char key[16];
    char value[32];
    struct buf request = {0};
    snprintf(key, sizeof key, "key-%d", number);
    snprintf(value, sizeof value, "value-%d", number);
    pb_encode(&pb_put_request_type, &(struct pb_put_request){.key = slice_of_str(key), .value = slice_of_str(value)},
              &request);
    enum rpc_status status;
    do {
        status = call(client, pb_control_service_put.path, &request);
    } while (status == RPC_UNAVAILABLE);
    assert_int_equal(status, RPC_OK);
    buf_free(&request);
}

static void check(struct client *client, int number) {
    char key[16];
    char value[32];
    struct buf request = {0};
    struct pb_get_response response;
    snprintf(key, sizeof key, "key-%d", number);
    snprintf(value, sizeof value, "value-%d", number);
    pb_encode(&pb_get_request_type, &(struct pb_get_request){.key = slice_of_str(key)}, &request);
    enum rpc_status status;
    do {
        status = call(client, pb_control_service_get.path, &request);
    } while (status == RPC_UNAVAILABLE);
    if (status != RPC_OK) {
        fail_msg("%s: %s", key, rpc_status_name(status));
    }
    assert_int_equal(pb_decode(NULL, &pb_get_response_type, buf_slice(&client->body), &response, NULL), OK);
    assert_true(slice_equal(response.value, slice_of_str(value)));
    buf_free(&request);
}

static void TestLogNodeRestart(void **state) {
    (void)state;
    struct client client;
    scratch_make(directory, sizeof directory, SCRATCH_DISK);
    snprintf(address, sizeof address, "127.0.0.1:%d", free_port());
    snprintf(http_address, sizeof http_address, "127.0.0.1:%d", free_port());
    pid_t pid = start_batond();
    client_open(&client);
    for (int i = 0; i < WRITES; i++) {
        put(&client, i);
    }
    end_batond(pid, SIGKILL, 0);
    pid = start_batond();
    for (int i = 0; i < WRITES; i++) {
        check(&client, i);
    }
    client_close(&client);
    end_batond(pid, SIGTERM, 0);
    char command[160];
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    assert_int_equal(system(command), 0);
}

int main(int argc, char **argv) {
    static const struct CMUnitTest tests[] = {cmocka_unit_test(TestLogNodeRestart)};
    const char *filter = getenv("BATON_TEST_FILTER");
    if (argc != 2) {
        return fprintf(stderr, "usage: %s BATOND\n", argv[0]), 2;
    }
    batond = argv[1];
    if (filter != NULL) {
        cmocka_set_test_filter(filter);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
