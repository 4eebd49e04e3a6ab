// manual PROGRAM: prints the manual page of batond or batonctl, from the tables that the program itself reads. The build
// runs it; it is not installed.
#include "manual/manual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cmd/batond_options.h"
#include "cmd/flags.h"
#include "ctl/vocabulary.h"

static const struct manual batond = {
    .program = "batond",
    .section = '8',
    .purpose = "a node of a baton control plane",
    .synopsis = "--node-id ID --cluster-id ID --cloud CLOUD --data-dir DIR [option ...]\n"
                "--check-config [option ...]\n"
                "--check-wal DIR\n"
                "--dump-wal DIR [--to INDEX]\n"
                "--dump-snapshot DIR [--index INDEX]\n"
                "--restore FILE --peers LIST (and a node's options)",
    .description =
        "batond is one node of a cluster, of three as a rule, that elects a leader, keeps one replicated durable log "
        "(Raft), and "
        "knows which workers can take work. Clients and the other nodes reach it by gRPC, operators with batonctl(1); "
        "metrics, "
        "health checks and a dashboard are on its second port.\n"
        "Each option can also be set in the environment, and in a file that --config names. The command line takes "
        "precedence over "
        "the environment, and that over the file. An option without a value is set by true there.\n"
        "SIGTERM and SIGINT stop it in order: a leader first hands leadership to another node. SIGHUP has it read its "
        "certificates again.",
    .exits = "0 stopped in order, or removed from the cluster\n"
             "2 an option is wrong, or the data directory is another node's\n"
             "3 the log or a snapshot is damaged; nothing was changed\n"
             "4 the disk failed, or the data directory cannot be used\n"
             "5 out of memory\n"
             "6 an address cannot be listened on\n"
             "7 the log or a snapshot is of a later version, or of a higher level; nothing was changed",
    .see_also = "batonctl(1)",
};

static const char *keep(struct arena *arena, const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(arena_alloc(arena, size), text, size);
}

// Its texts are the row's, or in `arena`.
static struct manual_option option_of(const struct flag_table *table, const struct flag *flag, struct arena *arena) {
    struct manual_option option = {.name = flag->name, .argument = flag->argument, .help = flag->help};
    char text[128];
    if (flag->name == NULL) {
        return option;
    }
    option.required = flag->required;
    option.initial = flag->initial;
    if (flag->same_as != NULL) {
        snprintf(text, sizeof text, "as --%s", flag->same_as);
        option.initial = keep(arena, text);
    }
    if (!flag->command_line_only) {
        flags_variable(table, flag, text, sizeof text);
        option.variable = keep(arena, text);
    }
    return option;
}

static void print(const struct manual *manual) {
    struct buf out = {.len = 0};
    manual_page(manual, BATON_VERSION, &out);
    fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "batonctl") == 0) {
        print(&ctl_manual);
        return EXIT_SUCCESS;
    }
    if (argc != 2 || strcmp(argv[1], "batond") != 0) {
        fputs("usage: manual batond|batonctl\n", stderr);
        return EXIT_FAILURE;
    }
    struct manual_option options[FLAGS_MAX];
    struct arena arena = {0};
    for (size_t i = 0; i < batond_flags.count; i++) {
        options[i] = option_of(&batond_flags, &batond_flags.rows[i], &arena);
    }
    struct manual manual = batond;
    manual.options = options;
    manual.option_count = batond_flags.count;
    print(&manual);
    arena_free(&arena);
    return EXIT_SUCCESS;
}
