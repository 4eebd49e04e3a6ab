// The control socket of wanlink, both ends.
#include "wanlink/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void show(const struct direction *direction, struct buf *answer) {
    const struct netem *netem = &direction->netem;
    const struct netem_settings *s = &netem->settings;
    buf_printf(answer, "%s state=%s delay=%gms jitter=%gms loss=%g%% waiting=%zu passed=%lu lost=%lu\n", direction->name,
               s->cut ? "cut" : "open", s->delay_us / 1e3, s->jitter_us / 1e3, s->loss * 100, netem->count, netem->passed,
               netem->lost);
}

// Parses "KEY VALUE" pairs into the settings; sets *only to the direction they name.
static enum error_code parse_pairs(struct direction directions[2], struct netem_settings settings[2], char **rest,
                                   struct direction **only, struct error *error) {
    for (char *key; (key = strtok_r(NULL, " \n", rest)) != NULL;) {
        const char *value = strtok_r(NULL, " \n", rest);
        if (value == NULL) {
            return error_set(error, ERR_INVALID, "'%s' has no value", key);
        }
        if (strcmp(key, "direction") != 0) {
            enum error_code code = netem_settings_parse(&settings[0], key, value, error);
            if (code != OK) {
                return code;
            }
            (void)netem_settings_parse(&settings[1], key, value, NULL);
            continue;
        }
        *only = strcmp(value, directions[0].name) == 0 ? &directions[0] : &directions[1];
        if (strcmp(value, (*only)->name) != 0) {
            return error_set(error, ERR_INVALID, "direction is '%s': there are %s and %s", value, directions[0].name,
                             directions[1].name);
        }
    }
    return OK;
}

static enum error_code change(struct direction directions[2], const char *verb, char **rest, struct error *error) {
    struct netem_settings settings[2] = {directions[0].netem.settings, directions[1].netem.settings};
    struct direction *only = NULL;
    enum error_code code = parse_pairs(directions, settings, rest, &only, error);
    for (size_t i = 0; code == OK && i < 2; i++) {
        if (strcmp(verb, "set") != 0) {
            settings[i].cut = strcmp(verb, "cut") == 0;
        }
        if (only == NULL || only == &directions[i]) {
            code = netem_settings_check(&settings[i], error);
        }
    }
    for (size_t i = 0; code == OK && i < 2; i++) {
        if (only == NULL || only == &directions[i]) {
            directions[i].netem.settings = settings[i];
        }
    }
    return code;
}

void control_answer(struct direction directions[2], char *request, struct buf *answer) {
    char *rest = NULL;
    const char *verb = strtok_r(request, " \n", &rest);
    struct error error = {0};
    if (verb != NULL && strcmp(verb, "show") == 0) {
        buf_append_str(answer, "ok\n");
        show(&directions[0], answer);
        show(&directions[1], answer);
        return;
    }
    if (verb == NULL || (strcmp(verb, "set") != 0 && strcmp(verb, "cut") != 0 && strcmp(verb, "heal") != 0)) {
        error_set(&error, ERR_INVALID, "'%s' is not a request: there are show, set, cut and heal", verb == NULL ? "" : verb);
    } else if (change(directions, verb, &rest, &error) == OK) {
        buf_append_str(answer, "ok\n");
        return;
    }
    buf_printf(answer, "error: %s\n", error.message);
}

static enum error_code address_of(const char *path, struct sockaddr_un *address, struct error *error) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        return error_set(error, ERR_INVALID, "socket path '%s' is longer than %zu bytes: give a shorter or a relative one",
                         path, sizeof address->sun_path - 1);
    }
    memcpy(address->sun_path, path, strlen(path));
    return OK;
}

int control_listen(const char *path, struct error *error) {
    struct sockaddr_un address;
    if (address_of(path, &address, error) != OK) {
        return -1;
    }
    // A socket here is left over: having the queues, we are the only wanlink. Anything else is not ours to remove.
    struct stat there;
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode)) {
        (void)unlink(path);
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, CONTROL_BACKLOG) != 0) {
        error_set(error, ERR_IO, "cannot listen at %s: %s", path, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    return fd;
}

enum error_code control_call(const char *path, const char *request, struct buf *answer, struct error *error) {
    struct sockaddr_un address;
    if (address_of(path, &address, error) != OK) {
        return error->code;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        error_set(error, ERR_UNAVAILABLE, "no wanlink at %s: %s", path, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return ERR_UNAVAILABLE;
    }
    ssize_t received = -1;
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) >= 0) {
        received = recv(fd, buf_reserve(answer, CONTROL_ANSWER_MAX), CONTROL_ANSWER_MAX, 0);
    }
    (void)close(fd);
    if (received <= 0) {
        return error_set(error, ERR_IO, "wanlink at %s gave no answer: is it ending?", path);
    }
    answer->len = (size_t)received;
    if (answer->len >= 3 && memcmp(answer->data, "ok\n", 3) == 0) {
        memmove(answer->data, answer->data + 3, answer->len -= 3);
        return OK;
    }
    size_t prefix = sizeof "error: " - 1;
    if (answer->len <= prefix) {
        return error_set(error, ERR_MALFORMED, "what listens at %s is no wanlink", path);
    }
    return error_set(error, ERR_INVALID, "%.*s", (int)(answer->len - prefix - 1), (const char *)answer->data + prefix);
}
