// wanlink: emulates a WAN link between two interfaces. This file has the options; src/wanlink does the work.
#include <assert.h>
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/ids.h"
#include "base/mem.h"
#include "wanlink/control.h"
#include "wanlink/link.h"

static const char usage[] =
    "usage: wanlink --from A --to B --delay TIME [option ...]    emulate a link\n"
    "       wanlink show --socket PATH                           print one line a direction\n"
    "       wanlink set --socket PATH [option ...]               change delay, jitter or loss\n"
    "       wanlink cut --socket PATH [--direction A-to-B]       drop all packets, also those in flight\n"
    "       wanlink heal --socket PATH [--direction A-to-B]      forward packets again\n"
    "\n"
    "Emulates a WAN link between two networks, in the network namespace that routes between them: delays, drops and cuts\n"
    "the IPv4 packets forwarded from interface A to B and from B to A, until SIGTERM or SIGINT. Traffic within either\n"
    "network is not touched. Needs root in the namespace, or CAP_NET_ADMIN.\n"
    "\n"
    "options\n"
    "  --from A         an interface of this namespace\n"
    "  --to B           another one\n"
    "  --delay TIME     one way, so a round trip takes twice that: 0ms to 10s (units us, ms, s)\n"
    "  --jitter TIME    each packet takes delay - jitter to delay + jitter; packets are never reordered (default 0ms)\n"
    "  --loss SHARE     the share of packets to drop at random, such as 1%; a large TCP segment that the sender's kernel\n"
    "                   has not split yet counts as one (default 0%)\n"
    "  --seed N         of that randomness (default: random, and printed)\n"
    "  --socket PATH    where to listen for show, set, cut and heal, or to send them\n"
    "  --direction D    A-to-B or B-to-A, by the interfaces' names; without it, both\n"
    "  --help           print this\n"
    "  --version        print the version\n"
    "\n"
    "On exit the iptables rules are removed and packets pass without delay. After SIGKILL the rules remain and the link is\n"
    "cut both ways until a new wanlink in this namespace replaces them or the namespace goes away.\n"
    "\n"
    "exit status: 0 ok, 1 failed, 2 wrong usage\n";

static int usage_error(const char *message) {
    fprintf(stderr, "wanlink: %s\nwanlink --help shows all flags.\n", message);
    return EXIT_USAGE;
}

struct arguments {
    struct link_options link;
    struct buf pairs;  // the request's "KEY VALUE" pairs (wanlink/control.h)
    unsigned given;    // the flags given, as bits
};

enum flag { FROM, TO, DELAY, JITTER, LOSS, SEED, SOCKET, DIRECTION, HELP, VERSION };

static const struct option flags[] = {
    [FROM] = {"from", required_argument, NULL, FROM},
    [TO] = {"to", required_argument, NULL, TO},
    [DELAY] = {"delay", required_argument, NULL, DELAY},
    [JITTER] = {"jitter", required_argument, NULL, JITTER},
    [LOSS] = {"loss", required_argument, NULL, LOSS},
    [SEED] = {"seed", required_argument, NULL, SEED},
    [SOCKET] = {"socket", required_argument, NULL, SOCKET},
    [DIRECTION] = {"direction", required_argument, NULL, DIRECTION},
    [HELP] = {"help", no_argument, NULL, HELP},
    [VERSION] = {"version", no_argument, NULL, VERSION},
    {NULL, 0, NULL, 0},
};

// Each command and the flags that it takes, as bits. The first one, without a name, runs a link.
static const struct {
    const char *name;
    unsigned flags;
} commands[] = {
    {NULL, 1 << FROM | 1 << TO | 1 << DELAY | 1 << JITTER | 1 << LOSS | 1 << SEED | 1 << SOCKET},
    {"show", 1 << SOCKET},
    {"set", 1 << SOCKET | 1 << DELAY | 1 << JITTER | 1 << LOSS | 1 << DIRECTION},
    {"cut", 1 << SOCKET | 1 << DIRECTION},
    {"heal", 1 << SOCKET | 1 << DIRECTION},
};

static enum error_code parse_interface(const char *flag, const char *value, struct error *error) {
    if (id_check(slice_of_str(value), flag, error) != OK) {
        return error->code;
    }
    if (if_nametoindex(value) == 0) {
        return error_set(error, ERR_INVALID, "%s is '%s': there is no such interface in this namespace", flag, value);
    }
    return OK;
}

static enum error_code parse_seed(const char *value, uint64_t *seed, struct error *error) {
    char *end;
    *seed = strtoull(value, &end, 10);
    if (end == value || *end != '\0') {
        return error_set(error, ERR_INVALID, "--seed is '%s': give a number", value);
    }
    return OK;
}

static enum error_code parse_flag(struct arguments *arguments, enum flag flag, const char *value, struct error *error) {
    switch (flag) {
    case FROM:
        arguments->link.from = value;
        return parse_interface("--from", value, error);
    case TO:
        arguments->link.to = value;
        return parse_interface("--to", value, error);
    case SEED:
        return parse_seed(value, &arguments->link.seed, error);
    case SOCKET:
        arguments->link.socket_path = value;
        return OK;
    case DIRECTION:
        buf_printf(&arguments->pairs, " direction %s", value);
        return OK;
    case HELP:
    case VERSION:
        return OK;
    case DELAY:
    case JITTER:
    case LOSS:
        break;
    }
    buf_printf(&arguments->pairs, " %s %s", flags[flag].name, value);
    enum error_code code = netem_settings_parse(&arguments->link.settings, flags[flag].name, value, error);
    return code == OK ? OK : error_wrap(error, "--%s", flags[flag].name);
}

// Parses the flags. ERR_INVALID: unknown, wrong, or not for this command.
static enum error_code parse(struct arguments *arguments, size_t command, int argc, char **argv, struct error *error) {
    assert(command < ARRAY_COUNT(commands));
    unsigned allowed = commands[command].flags | 1 << HELP | 1 << VERSION;
    opterr = 0;
    for (int got; (got = getopt_long(argc, argv, ":", flags, NULL)) != -1;) {
        if (got == ':') {
            return error_set(error, ERR_INVALID, "%s needs a value", argv[optind - 1]);
        }
        if (got == '?') {
            return error_set(error, ERR_INVALID, "there is no flag %s", argv[optind - 1]);
        }
        if ((allowed & 1U << got) == 0) {
            return error_set(error, ERR_INVALID, "--%s does not go with %s", flags[got].name,
                             command == 0 ? "running a link" : commands[command].name);
        }
        if (parse_flag(arguments, (enum flag)got, optarg, error) != OK) {
            return error->code;
        }
        arguments->given |= 1U << got;
    }
    if (optind < argc) {
        return error_set(error, ERR_INVALID, "'%s' is not one of show, set, cut and heal", argv[optind]);
    }
    return OK;
}

static int ask(const struct arguments *arguments, const char *command) {
    if (arguments->link.socket_path == NULL) {
        return usage_error("--socket PATH is needed: the one that the running wanlink was given");
    }
    struct buf request = {0};
    struct buf answer = {0};
    struct error error;
    buf_printf(&request, "%s%.*s", command, (int)arguments->pairs.len, (const char *)arguments->pairs.data);
    buf_append(&request, "", 1);
    enum error_code code = request.len > CONTROL_REQUEST_MAX + 1
                               ? error_set(&error, ERR_TOO_LARGE, "more than %d bytes of request", CONTROL_REQUEST_MAX)
                               : control_call(arguments->link.socket_path, (const char *)request.data, &answer, &error);
    if (code == OK) {
        fwrite(answer.data, 1, answer.len, stdout);
    } else {
        fprintf(stderr, "wanlink: %s\n", error.message);
    }
    buf_free(&request);
    buf_free(&answer);
    return code == OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(const struct arguments *arguments) {
    struct error error;
    unsigned needed = 1 << FROM | 1 << TO | 1 << DELAY;
    if ((arguments->given & needed) != needed) {
        return usage_error("--from A, --to B (two interfaces of this namespace) and --delay are needed");
    }
    if (strcmp(arguments->link.from, arguments->link.to) == 0) {
        return usage_error("--from and --to are the same interface");
    }
    if (netem_settings_check(&arguments->link.settings, &error) != OK) {
        return usage_error(error.message);
    }
    if (link_run(&arguments->link, &error) != OK) {
        fprintf(stderr, "wanlink: %s\n", error.message);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    size_t command = 0;
    for (size_t i = 1; argc > 1 && i < ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            command = i;
            optind = 2;
        }
    }
    struct arguments arguments = {0};
    if (getrandom(&arguments.link.seed, sizeof arguments.link.seed, 0) < 0) {
        arguments.link.seed = 1;
    }
    struct error error;
    int status = EXIT_SUCCESS;
    if (parse(&arguments, command, argc, argv, &error) != OK) {
        status = usage_error(error.message);
    } else if (arguments.given & 1 << HELP) {
        fputs(usage, stdout);
    } else if (arguments.given & 1 << VERSION) {
        puts("wanlink " BATON_VERSION);
    } else {
        status = command == 0 ? run(&arguments) : ask(&arguments, commands[command].name);
    }
    buf_free(&arguments.pairs);
    return status;
}
