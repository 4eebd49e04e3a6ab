// baton-bench: measures writes to a cluster, or makes writes that can be checked. This file has the options and the report;
// src/bench does the work.
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/limits.h"
#include "base/mem.h"
#include "bench/ledger.h"
#include "bench/samples.h"
#include "bench/writer.h"
#include "cmd/flags.h"
#include "tls/tls.h"

struct arguments {
    struct writer_options writer;
    uint64_t in_flight;
    uint64_t value_bytes;
    uint64_t keys;
    const char *prefix;
    const char *endpoints;
    const char *samples;
    const char *ledger;
    struct tls_files tls_files;
    bool help;
    bool version;
};

// --- the flags ---

#define IN(member) offsetof(struct arguments, member)

static const struct flag rows[] = {
    {.help = "options"},
    {.name = "endpoints",
     .argument = "LIST",
     .command_line_only = true,  // ctl_endpoints_find reads the variable
     .parse = flag_text,
     .offset = IN(endpoints),
     .help = "HOST:PORT,... of the nodes; connects to each [env: BATON_ENDPOINTS]\n"
             "(default: build/cluster/endpoints, else 127.0.0.1:7400)"},
    {.name = "count",
     .argument = "N",
     .command_line_only = true,
     .parse = flag_number,
     .offset = IN(writer.count),
     .least = 1,
     .most = 1000000000,
     .help = "stop after this many writes"},
    {.name = "seconds",
     .argument = "N",
     .command_line_only = true,
     .parse = flag_number,
     .offset = IN(writer.seconds),
     .least = 1,
     .most = 1000000,
     .help = "stop after this long; without either, at SIGINT or SIGTERM"},
    {.name = "in-flight",
     .argument = "N",
     .initial = "1",
     .command_line_only = true,
     .parse = flag_number,
     .offset = IN(in_flight),
     .least = 1,
     .most = WRITER_IN_FLIGHT_MAX,
     .help = "writes in flight, up to 512"},
    {.name = "rate",
     .argument = "N",
     .initial = "0",
     .command_line_only = true,
     .parse = flag_number,
     .offset = IN(writer.rate),
     .most = 1000000,
     .help = "writes started per second; 0: one as soon as another completes"},
    {.name = "size",
     .argument = "N",
     .initial = "256",
     .command_line_only = true,
     .parse = flag_number,
     .offset = IN(value_bytes),
     .most = 1000000,
     .help = "bytes of a value, up to 1000000"},
    {.name = "keys",
     .argument = "N",
     .initial = "1",
     .command_line_only = true,
     .parse = flag_number,
     .offset = IN(keys),
     .least = 1,
     .most = 1000000000,
     .help = "keys, which are written in turn: bench-0 to bench-(N-1)"},
    {.name = "prefix",
     .argument = "TEXT",
     .initial = "bench-",
     .command_line_only = true,
     .parse = flag_text,
     .offset = IN(prefix),
     .help = "what keys begin with, up to 64 bytes"},
    {.name = "patience",
     .argument = "MS",
     .initial = "1000",
     .command_line_only = true,
     .parse = flag_number,
     .offset = IN(writer.patience_ms),
     .least = 1,
     .most = 3600000,
     .help = "look for another leader when this one has not answered for so long"},
    {.name = "tls-cert",
     .argument = "FILE",
     .parse = flag_text,
     .offset = IN(tls_files.cert),
     .help = "use TLS: our certificate"},
    {.name = "tls-key", .argument = "FILE", .parse = flag_text, .offset = IN(tls_files.key), .help = "its private key"},
    {.name = "tls-ca",
     .argument = "FILE",
     .parse = flag_text,
     .offset = IN(tls_files.ca),
     .help = "the trusted certificate authorities"},
    {.name = "samples",
     .argument = "FILE",
     .command_line_only = true,
     .parse = flag_text,
     .offset = IN(samples),
     .help = "write a CSV line for each acknowledged write: first sent and acknowledged, in microseconds\n"
             "since the start"},
    {.name = "ledger",
     .argument = "FILE",
     .command_line_only = true,
     .parse = flag_text,
     .offset = IN(ledger),
     .help = "write values that can be checked, at least 128 bytes, to at least 2048 keys that nobody else\n"
             "writes; record each acknowledged write in FILE instead of measuring it; watch all changes, and\n"
             "end if one is lost, comes twice or comes out of order"},
    {.name = "help", .command_line_only = true, .parse = flag_boolean, .offset = IN(help), .help = "print this"},
    {.name = "version",
     .command_line_only = true,
     .parse = flag_boolean,
     .offset = IN(version),
     .help = "print the version"},
};

static_assert(WRITER_IN_FLIGHT_MAX == 512 && LEDGER_KEYS_MIN == 2048 && LEDGER_VALUE_MIN == 128, "as --help says");
static_assert(SAMPLES_PREFIX_MAX == 64 && LEDGER_PREFIX_MAX == 64, "as --help says");

static const struct flag_table table = {.program = "baton-bench",
                                        .environment_prefix = "BATON_",
                                        .show_environment = true,
                                        .rows = rows,
                                        .count = ARRAY_COUNT(rows)};

static void print_help(void) {
    fputs("usage: baton-bench [option ...]\n"
          "\n"
          "Writes to a cluster, follows its leader, and reports latencies and gaps as JSON.\n"
          "\n",
          stdout);
    flags_print(&table, stdout);
    fputs("\n"
          "Prints \"ready, HOST:PORT leads\" to stderr when the first write is acknowledged. A latency runs from a write's "
          "first\n"
          "attempt to its acknowledgement, retries included; longest_gap_ms is the longest time between two consecutive\n"
          "acknowledgements. Each write carries a client id and a sequence number and is retried with them until its "
          "outcome is\n"
          "known; failed counts the writes that were refused or whose outcome stayed unknown.\n"
          "\n"
          "exit status: 0 ok, 1 a write failed, none was acknowledged, or a change was not as it must be, 2 wrong usage\n",
          stdout);
}

// What the table of flags cannot say.
static enum error_code check(const struct arguments *arguments, struct error *error) {
    if (strlen(arguments->prefix) > SAMPLES_PREFIX_MAX) {
        return error_set(error, ERR_INVALID, "--prefix has more than %d bytes", SAMPLES_PREFIX_MAX);
    }
    if (arguments->ledger == NULL) {
        return OK;
    }
    if (arguments->samples != NULL) {
        return error_set(error, ERR_INVALID, "--samples does not go with --ledger, which records the times, too");
    }
    if (arguments->keys < LEDGER_KEYS_MIN || arguments->keys > LEDGER_KEYS_MAX) {
        return error_set(error, ERR_INVALID, "--keys is %" PRIu64 "; with --ledger allowed is %d to %d", arguments->keys,
                         LEDGER_KEYS_MIN, LEDGER_KEYS_MAX);
    }
    if (arguments->value_bytes < LEDGER_VALUE_MIN || arguments->value_bytes > LEDGER_VALUE_MAX) {
        return error_set(error, ERR_INVALID, "--size is %" PRIu64 "; with --ledger allowed is %d to %d",
                         arguments->value_bytes, LEDGER_VALUE_MIN, LEDGER_VALUE_MAX);
    }
    return OK;
}

static enum error_code parse(int argc, char **argv, struct arguments *arguments, struct error *error) {
    struct setting settings[ARRAY_COUNT(rows)];
    enum error_code code = flags_read(&table, argc, argv, NULL, settings, error);
    if (code == OK) {
        code = flags_parse(&table, settings, 0, arguments, error);
    }
    if (code != OK || arguments->help || arguments->version) {
        return code;
    }
    arguments->writer.in_flight = arguments->in_flight;
    return check(arguments, error);
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

static void print_latencies(const struct samples *samples) {
    size_t count = samples->count;
    double *ms = mem_alloc((count + 1) * sizeof *ms);
    for (size_t i = 0; i < count; i++) {
        ms[i] = (double)(samples->items[i].acked_us - samples->items[i].sent_us) / 1000;
    }
    qsort(ms, count, sizeof *ms, ascending);
    printf(" \"latency_ms\": {\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f},\n", quantile(ms, count, 0.5),
           quantile(ms, count, 0.9), quantile(ms, count, 0.99), quantile(ms, count, 1));
    free(ms);
}

static void print_gap(const struct samples *samples) {
    uint64_t gap_us = 0;
    uint64_t gap_from_us = 0;
    for (size_t i = 1; i < samples->count; i++) {
        const struct sample *sample = &samples->items[i];
        assert(sample->acked_us >= sample[-1].acked_us);
        if (sample->acked_us - sample[-1].acked_us > gap_us) {
            gap_us = sample->acked_us - sample[-1].acked_us;
            gap_from_us = sample[-1].acked_us;
        }
    }
    printf(" \"longest_gap_ms\": %.3f, \"gap_began_s\": %.6f}\n", (double)gap_us / 1000,
           (double)gap_from_us / (double)US_PER_S);
}

static void print_report(const struct writer_result *result) {
    printf("{\"began_unix\": %.6f, \"seconds\": %.6f, \"acknowledged\": %" PRIu64 ", \"failed\": %" PRIu64 ",\n",
           (double)result->began_unix_us / (double)US_PER_S, (double)result->last_us / (double)US_PER_S,
           result->acknowledged, result->failed);
    printf(" \"retried\": %" PRIu64 ", \"redirected\": %" PRIu64 ", \"searches\": %" PRIu64 ",\n", result->retried,
           result->redirected, result->searches);
    if (result->failed > 0) {
        fprintf(stderr, "baton-bench: %" PRIu64 " writes failed, the first with %s\n", result->failed,
                result->failure.message);
    }
}

static enum error_code write_samples(const char *path, const struct samples *samples, struct error *error) {
    FILE *file = fopen(path, "we");
    bool ok = file != NULL && fputs("sent_us,acked_us\n", file) >= 0;
    for (size_t i = 0; ok && i < samples->count; i++) {
        ok = fprintf(file, "%" PRIu64 ",%" PRIu64 "\n", samples->items[i].sent_us, samples->items[i].acked_us) > 0;
    }
    if (file != NULL) {
        ok = fclose(file) == 0 && ok;
    }
    return ok ? OK : error_set(error, ERR_IO, "%s: %s", path, strerror(errno));
}

static bool complain(const struct error *error) {
    fprintf(stderr, "baton-bench: %s\n", error->message);
    return false;
}

// Writes, and prints the part of the report that all work has in common. False: not all is well.
static bool write_all(const struct arguments *arguments, struct writer_work work, bool *watched_all) {
    struct writer_options options = arguments->writer;
    options.work = work;
    struct writer *writer = writer_new(&options);
    const struct writer_result *result = writer_run(writer);
    bool ok = result->acknowledged > 0 && result->failed == 0;
    *watched_all = result->watched_all;
    print_report(result);
    writer_free(writer);
    return ok;
}

static bool measure(const struct arguments *arguments) {
    struct samples samples;
    struct error error;
    bool watched_all;
    samples_init(&samples, arguments->prefix, arguments->keys, arguments->value_bytes);
    bool ok = write_all(arguments, samples_work(&samples), &watched_all);
    print_latencies(&samples);
    print_gap(&samples);
    if (arguments->samples != NULL && write_samples(arguments->samples, &samples, &error) != OK) {
        ok = complain(&error);
    }
    samples_free(&samples);
    return ok;
}

static bool keep_ledger(const struct arguments *arguments) {
    struct ledger ledger;
    struct error error;
    bool watched_all;
    if (ledger_open(&ledger, arguments->ledger, arguments->prefix, arguments->keys, arguments->value_bytes, &error) != OK) {
        return complain(&error);
    }
    bool ok = write_all(arguments, ledger_work(&ledger), &watched_all);
    printf(" \"watched\": %" PRIu64 ", \"watch_gaps\": %" PRIu64 "}\n", ledger.watched, ledger.missed);
    if (ledger.fault.code != OK) {
        ok = complain(&ledger.fault);
    } else if (!watched_all) {
        error_set(&error, ERR_UNAVAILABLE, "the last changes were not reported within %d ms of the end", WRITER_FINISH_MS);
        ok = complain(&error);
    }
    return ledger_close(&ledger, arguments->ledger, &error) == OK ? ok : complain(&error);
}

int main(int argc, char **argv) {
    struct arguments arguments = {.help = false};
    struct ctl_endpoints endpoints;
    struct error error;
    enum error_code code = parse(argc, argv, &arguments, &error);
    if (code == OK && arguments.help) {
        print_help();
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
        fprintf(stderr, "baton-bench: %s\n", error.message);
        return EXIT_USAGE;
    }
    arguments.writer.endpoints = &endpoints;
    arguments.writer.on_ready = on_ready;
    bool ok = arguments.ledger == NULL ? measure(&arguments) : keep_ledger(&arguments);
    if (encrypted) {
        tls_free(arguments.writer.tls);
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
