// A run as a diagram that a person can follow: a column for each node, a line for each thing that happened there.
#include "trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "network.h"
#include "world.h"

// What a command of batond says (meson.build).
int world_told(const char *format, ...);

enum { WIDTH = 7, TEXT_MAX = 160 };

static bool on;
static char shown[HOSTS_MAX];

void trace_begin(bool enabled) {
    on = enabled;
    memset(shown, 0, sizeof shown);
}

static char state_of(int host) {
    const struct host *h = host_of(host);
    if (!h->running) {
        return h->lost ? 'x' : ' ';
    }
    return h->paused ? 'Z' : h->node == NULL || shown[host] == '\0' ? '.' : shown[host];
}

static void line(int at, const char *mark, const char *text) {
    printf("%4llu.%06llu ", (unsigned long long)(world_now() / US_PER_S), (unsigned long long)(world_now() % US_PER_S));
    for (int i = 0; i < host_count() && host_of(i)->is_node; i++) {
        printf(" %c%-*s", state_of(i), WIDTH - 2, i == at ? mark : "");
    }
    printf(" %s\n", text);
}

void world_trace(int host, const char *format, ...) {
    if (!on) {
        return;
    }
    char text[TEXT_MAX];
    char all[TEXT_MAX + 32];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(all, sizeof all, "%s%s%s", host == NO_HOST ? "" : host_of(host)->name, host == NO_HOST ? "" : ": ", text);
    line(host, "*", all);
}

// Whose lines come in parts.
int world_told(const char *format, ...) {
    static char text[TEXT_MAX];
    static size_t len;
    va_list args;
    va_start(args, format);
    int told = vsnprintf(text + len, sizeof text - len, format, args);
    va_end(args);
    len += strlen(text + len);
    for (char *end; (end = strchr(text, '\n')) != NULL || len == sizeof text - 1;) {
        size_t taken = end == NULL ? len : (size_t)(end - text);
        world_trace(current_host(), "%.*s", (int)taken, text);
        len = end == NULL ? 0 : len - taken - 1;
        memmove(text, end == NULL ? "" : end + 1, len + 1);
    }
    return told;
}

void trace_heads(void) {
    if (on) {
        printf("%11s ", "s");
        for (int i = 0; i < host_count() && host_of(i)->is_node; i++) {
            printf(" %-*s", WIDTH - 1, host_of(i)->name);
        }
        printf(" (L leads, C campaigns, F follows, Z is paused, x has lost its disk, blank: off)\n");
    }
}

void trace_role(int host, char role, uint64_t term) {
    if (on && shown[host] != role) {
        shown[host] = role;
        world_trace(host, "%s in term %llu",
                    role == 'L'   ? "leads"
                    : role == 'C' ? "campaigns"
                                  : "follows",
                    (unsigned long long)term);
    }
}

// Heartbeats, and what is like them, would be most of it.
void trace_frame(int from, int to, const char *path) {
    const char *name = path == NULL ? NULL : strrchr(path, '/');
    if (!on || name == NULL || !host_of(from)->is_node || !host_of(to)->is_node || strcmp(name, "/AppendEntries") == 0 ||
        strcmp(name, "/Status") == 0) {
        return;
    }
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "%s -> %s %s", host_of(from)->name, host_of(to)->name, name + 1);
    line(to, from < to ? ">" : "<", text);
}
