// Bars and lines of progress: ctl/progress.h.
#include "ctl/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };

void progress_begin(struct progress *progress) {
    *progress = (struct progress){.terminal = isatty(STDERR_FILENO), .tenth = -1};
}

void progress_clear(struct progress *progress) {
    if (progress->shown) {
        fputs("\r\033[K", stderr);
        progress->shown = false;
    }
}

static void show_bar(struct progress *progress, const char *what, double fraction, const char *detail) {
    char bar[BAR_WIDTH + 1];
    int full = (int)(fraction * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++) {
        bar[i] = i < full ? '#' : '.';
    }
    bar[BAR_WIDTH] = '\0';
    progress_clear(progress);
    if (fraction < 0) {
        fprintf(stderr, "%s %s", what, detail);
    } else {
        fprintf(stderr, "%s [%s] %3.0f %% %s", what, bar, fraction * 100, detail);
    }
    progress->shown = true;
}

void progress_show(struct progress *progress, const char *what, double fraction, const char *detail) {
    fraction = fraction > 1 ? 1 : fraction;
    int tenth = fraction < 0 ? -1 : (int)(fraction * 10);
    if (progress->terminal) {
        show_bar(progress, what, fraction, detail);
        return;
    }
    if (strcmp(what, progress->what) == 0 && tenth == progress->tenth) {
        return;
    }
    snprintf(progress->what, sizeof progress->what, "%s", what);
    progress->tenth = tenth;
    if (fraction < 0) {
        fprintf(stderr, "%s %s\n", what, detail);
    } else {
        fprintf(stderr, "%s %.0f %% %s\n", what, fraction * 100, detail);
    }
}
