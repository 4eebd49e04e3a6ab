// baton-bench: measures writes to a cluster. This file has the options and the report; src/bench does the work.
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/limits.h"
#include "base/mem.h"
#include "bench/writer.h"
#include "tls/tls.h"

static const char usage[] =
    "usage: baton-bench [option ...]\n"
    "\n"
    "Writes to a cluster, follows its leader, and reports latencies and gaps as JSON.\n"
    "\n"
    "options\n"
    "  --endpoints LIST  HOST:PORT,... of the nodes; connects to each [env: BATON_ENDPOINTS]\n"
    "                    (default: build/cluster/endpoints, else 127.0.0.1:7400)\n"
    "  --count N         stop after this many writes\n"
    "  --seconds N       stop after this long; without either, at SIGINT or SIGTERM\n"
    "  --in-flight N     writes in flight, up to 512 (default 1)\n"
    "  --rate N          writes started per second; 0: one as soon as another completes (default 0)\n"
    "  --size N          bytes of a value, up to 1000000 (default 256)\n"
    "  --patience MS     look for another leader when this one has not answered for so long (default 1000)\n"
    "  --tls-cert FILE   use TLS: our certificate [env: BATON_TLS_CERT]\n"
    "  --tls-key FILE    its private key [env: BATON_TLS_KEY]\n"
    "  --tls-ca FILE     the trusted certificate authorities [env: BATON_TLS_CA]\n"
    "  --samples FILE    write a CSV line for each acknowledged write: first sent and acknowledged, in microseconds\n"
    "                    since the start\n"
    "  --help            print this\n"
    "  --version         print the version\n"
    "\n"
    "Prints \"ready, HOST:PORT leads\" to stderr when the first write is acknowledged. A latency runs from a write's first\n"
    "attempt to its acknowledgement, retries included; longest_gap_ms is the longest time between two consecutive\n"
    "acknowledgements. Each write carries a client id and a sequence number and is retried with them until its outcome is\n"
    "known; failed counts the writes that were refused or whose outcome stayed unknown.\n"
    "\n"
    "exit status: 0 ok, 1 a write failed or none was acknowledged, 2 wrong usage\n";

struct arguments {
    struct writer_options writer;
    const char *endpoints;
    const char *samples;
    struct tls_files tls_files;
    bool help;
    bool version;
};

enum number {
    COUNT,
    SECONDS,
    IN_FLIGHT,
    RATE,
    SIZE,
    PATIENCE,
    NUMBERS,
    ENDPOINTS = NUMBERS,
    SAMPLES,
    TLS_CERT,
    TLS_KEY,
    TLS_CA,
    HELP,
    VERSION,
};

static const struct option flags[] = {
    {"count", required_argument, NULL, COUNT},         {"seconds", required_argument, NULL, SECONDS},
    {"in-flight", required_argument, NULL, IN_FLIGHT}, {"rate", required_argument, NULL, RATE},
    {"size", required_argument, NULL, SIZE},           {"patience", required_argument, NULL, PATIENCE},
    {"endpoints", required_argument, NULL, ENDPOINTS}, {"samples", required_argument, NULL, SAMPLES},
    {"tls-cert", required_argument, NULL, TLS_CERT},   {"tls-key", required_argument, NULL, TLS_KEY},
    {"tls-ca", required_argument, NULL, TLS_CA},       {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},           {NULL, 0, NULL, 0},
};

static const struct {
    uint64_t least;
    uint64_t most;
    uint64_t otherwise;
} numbers[NUMBERS] = {
    [COUNT] = {1, 1000000000, 0}, [SECONDS] = {1, 1000000, 0}, [IN_FLIGHT] = {1, WRITER_IN_FLIGHT_MAX, 1},
    [RATE] = {0, 1000000, 0},     [SIZE] = {0, 1000000, 256},  [PATIENCE] = {1, 3600000, 1000},
};

static enum error_code parse_number(int flag, const char *text, uint64_t *value, struct error *error) {
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || *value < numbers[flag].least ||
        *value > numbers[flag].most) {
        return error_set(error, ERR_INVALID, "--%s is \"%s\"; allowed is %" PRIu64 " to %" PRIu64, flags[flag].name, text,
                         numbers[flag].least, numbers[flag].most);
    }
    return OK;
}

static enum error_code parse(int argc, char **argv, struct arguments *arguments, struct error *error) {
    uint64_t values[NUMBERS];
    arguments->tls_files = (struct tls_files){
        .cert = env_get("BATON_TLS_CERT"), .key = env_get("BATON_TLS_KEY"), .ca = env_get("BATON_TLS_CA")};
    for (int i = 0; i < NUMBERS; i++) {
        values[i] = numbers[i].otherwise;
    }
    opterr = 0;
    for (int got; (got = getopt_long(argc, argv, ":", flags, NULL)) != -1;) {
        if (got == ':' || got == '?') {
            return error_set(error, ERR_INVALID, got == ':' ? "%s needs a value" : "there is no flag %s", argv[optind - 1]);
        }
        if (got < NUMBERS && parse_number(got, optarg, &values[got], error) != OK) {
            return error->code;
        }
        if (got == ENDPOINTS) {
            arguments->endpoints = optarg;
        }
        if (got == SAMPLES) {
            arguments->samples = optarg;
        }
        if (got == TLS_CERT) {
            arguments->tls_files.cert = optarg;
        }
        if (got == TLS_KEY) {
            arguments->tls_files.key = optarg;
        }
        if (got == TLS_CA) {
            arguments->tls_files.ca = optarg;
        }
        arguments->help = arguments->help || got == HELP;
        arguments->version = arguments->version || got == VERSION;
    }
    if (optind < argc) {
        return error_set(error, ERR_INVALID, "unexpected argument \"%s\"", argv[optind]);
    }
    arguments->writer = (struct writer_options){
        .count = values[COUNT],
        .seconds = values[SECONDS],
        .in_flight = values[IN_FLIGHT],
        .rate = values[RATE],
        .value_bytes = values[SIZE],
        .patience_ms = values[PATIENCE],
    };
    return OK;
}

// --- the report ---

static void on_ready(const char *address) {
    fprintf(stderr, "ready, %s leads\n", address);
}

static int ascending(const void *a, const void *b) {
    double first = *(const double *)a;
    double second = *(const double *)b;
    return (first > second) - (first < second);
}

static double quantile(const double *sorted, size_t count, double q) {
    size_t rank = (size_t)(q * (double)count);
    assert(q >= 0 && q <= 1);
    return count == 0 ? 0 : sorted[rank < count ? rank : count - 1];
}

static void print_latencies(const struct writer_result *result) {
    size_t count = result->acknowledged;
    double *ms = mem_alloc((count + 1) * sizeof *ms);
    for (size_t i = 0; i < count; i++) {
        ms[i] = (double)(result->samples[i].acked_us - result->samples[i].sent_us) / 1000;
    }
    qsort(ms, count, sizeof *ms, ascending);
    printf(" \"latency_ms\": {\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f},\n", quantile(ms, count, 0.5),
           quantile(ms, count, 0.9), quantile(ms, count, 0.99), quantile(ms, count, 1));
    free(ms);
}

static void print_report(const struct writer_result *result) {
    const struct writer_sample *samples = result->samples;
    uint64_t gap_us = 0;
    uint64_t gap_from_us = 0;
    for (size_t i = 1; i < result->acknowledged; i++) {
        assert(samples[i].acked_us >= samples[i - 1].acked_us);
        if (samples[i].acked_us - samples[i - 1].acked_us > gap_us) {
            gap_us = samples[i].acked_us - samples[i - 1].acked_us;
            gap_from_us = samples[i - 1].acked_us;
        }
    }
    uint64_t last_us = result->acknowledged == 0 ? 0 : samples[result->acknowledged - 1].acked_us;
    printf("{\"began_unix\": %.6f, \"seconds\": %.6f, \"acknowledged\": %zu, \"failed\": %" PRIu64 ",\n",
           (double)result->began_unix_us / (double)US_PER_S, (double)last_us / (double)US_PER_S, result->acknowledged,
           result->failed);
    printf(" \"retried\": %" PRIu64 ", \"redirected\": %" PRIu64 ", \"searches\": %" PRIu64 ",\n", result->retried,
           result->redirected, result->searches);
    print_latencies(result);
    printf(" \"longest_gap_ms\": %.3f, \"gap_began_s\": %.6f}\n", (double)gap_us / 1000,
           (double)gap_from_us / (double)US_PER_S);
    if (result->failed > 0) {
        fprintf(stderr, "baton-bench: %" PRIu64 " writes failed, the first with %s\n", result->failed,
                result->failure.message);
    }
}

static enum error_code write_samples(const char *path, const struct writer_result *result, struct error *error) {
    FILE *file = fopen(path, "we");
    bool ok = file != NULL && fputs("sent_us,acked_us\n", file) >= 0;
    for (size_t i = 0; ok && i < result->acknowledged; i++) {
        ok = fprintf(file, "%" PRIu64 ",%" PRIu64 "\n", result->samples[i].sent_us, result->samples[i].acked_us) > 0;
    }
    if (file != NULL) {
        ok = fclose(file) == 0 && ok;
    }
    return ok ? OK : error_set(error, ERR_IO, "%s: %s", path, strerror(errno));
}

static int run(const struct arguments *arguments, struct error *error) {
    struct writer *writer = writer_new(&arguments->writer);
    const struct writer_result *result = writer_run(writer);
    bool ok = result->acknowledged > 0 && result->failed == 0;
    print_report(result);
    if (arguments->samples != NULL && write_samples(arguments->samples, result, error) != OK) {
        fprintf(stderr, "baton-bench: %s\n", error->message);
        ok = false;
    }
    writer_free(writer);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    struct arguments arguments = {.help = false};
    struct ctl_endpoints endpoints;
    struct error error;
    enum error_code code = parse(argc, argv, &arguments, &error);
    if (code == OK && arguments.help) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (code == OK && arguments.version) {
        puts("baton-bench " BATON_VERSION);
        return EXIT_SUCCESS;
    }
    if (code == OK) {
        code = ctl_endpoints_find(arguments.endpoints, getenv("BATON_ENDPOINTS"), CTL_ENDPOINTS_FILE, &endpoints, &error);
    }
    bool encrypted = false;
    if (code == OK) {
        code = tls_files_check(&arguments.tls_files, false, &encrypted, &error);
    }
    if (code == OK && encrypted) {
        code = tls_new(&arguments.tls_files, NULL, &arguments.writer.tls, &error);
    }
    if (code != OK) {
        fprintf(stderr, "baton-bench: %s; see baton-bench --help\n", error.message);
        return EXIT_USAGE;
    }
    arguments.writer.endpoints = &endpoints;
    arguments.writer.on_ready = on_ready;
    int status = run(&arguments, &error);
    if (encrypted) {
        tls_free(arguments.writer.tls);
    }
    return status;
}
