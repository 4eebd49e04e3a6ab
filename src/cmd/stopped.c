// Reading a stopped node's data directory: stopped.h.
#include "cmd/stopped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "node/open.h"
#include "wal/recovery.h"
#include "wire/command.h"

static enum error_code no_log(const struct stopped *stopped, struct error *error) {
    return error_set(error, ERR_INVALID, "%s holds no log of a cluster; is it the data directory?",
                     stopped->config->data_dir);
}

static enum error_code read_time(struct stopped *stopped, uint64_t segment, struct error *error) {
    const struct wal_io *io = stopped->dir.io;
    char name[WAL_SEGMENT_NAME_SIZE];
    struct stat st;
    wal_segment_name(name, segment);
    int fd = io->open_at(io->self, stopped->dir.wal, name, O_RDONLY | O_CLOEXEC, 0);
    int result = fd < 0 ? -1 : io->stat(io->self, fd, &st);
    if (fd >= 0) {
        io->close(io->self, fd);
    }
    if (result != 0) {
        return error_set(error, ERR_IO, "looking at %s/wal/%s: %s", stopped->config->data_dir, name, strerror(errno));
    }
    stopped->written_unix_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return OK;
}

static enum error_code read_log(struct stopped *stopped, struct error *error) {
    struct wal_log_end end;
    struct wal_identity identity = {.cluster_id = raft_id_slice(&stopped->config->cluster_id),
                                    .node_id = raft_id_slice(&stopped->config->node_id)};
    if (stopped->dir.wal < 0) {
        return no_log(stopped, error);
    }
    enum error_code code = wal_collect(&stopped->dir, &identity, 0, stopped->slab, &stopped->recovered, &end, error);
    if (code == OK && stopped->recovered.empty) {
        code = no_log(stopped, error);
    }
    return code == OK ? read_time(stopped, end.current.number, error) : code;
}

static void say_skipped(void *user, const struct error *error) {
    (void)user;
    fprintf(stderr, "batond: %s; passing it over\n", error->message);
}

static enum error_code read_configuration(struct stopped *stopped, struct error *error) {
    raft_index index;
    struct slice command = open_last_configuration(&stopped->recovered, &stopped->image, &index);
    if (command.len == 0) {
        return no_log(stopped, error);
    }
    if (wire_configuration_read(command, &stopped->configuration, error) != OK) {
        return error_wrap(error, "the configuration in %s", stopped->config->data_dir);
    }
    stopped->configuration.index = index;
    stopped->generation = stopped->configuration.generation;
    if (stopped->recovered.generation > stopped->generation) {
        stopped->generation = stopped->recovered.generation;
    }
    return OK;
}

// An image that the log does not reach was installed just before the end.
static void note_last(struct stopped *stopped) {
    const struct raft_restored *log = &stopped->recovered.log;
    stopped->last = log->count > 0 ? log->entries[log->count - 1]->id : log->base;
    if (stopped->image.last.index > stopped->last.index) {
        stopped->last = stopped->image.last;
    }
    stopped->command_unix_ms = stopped->image.state == NULL ? 0 : state_time_unix_ms(stopped->image.state);
    struct arena arena = {.limit = 0};
    for (size_t i = log->count; i-- > 0;) {
        struct pb_command command;
        struct error ignored;
        if (log->entries[i]->type == RAFT_ENTRY_COMMAND &&
            wire_command_decode(&arena, log->entries[i], &command, &ignored) == OK) {
            stopped->command_unix_ms = command.time_unix_ms;
            break;
        }
    }
    arena_free(&arena);
}

enum error_code stopped_open(const struct node_config *config, struct stopped *stopped, struct error *error) {
    *stopped = (struct stopped){.config = config, .slab = raft_slab_new(), .recovered.empty = true};
    enum error_code code = wal_directory_hold(&stopped->dir, config->data_dir, &wal_io_system, error);
    if (code == OK) {
        code = read_log(stopped, error);
    }
    if (code == OK && stopped->dir.snap >= 0) {
        code = image_load_newest(&stopped->dir, &stopped->image, say_skipped, NULL, error);
    }
    if (code == OK) {
        code = read_configuration(stopped, error);
    }
    if (code == OK) {
        note_last(stopped);
    }
    return code;
}

void stopped_unlock(struct stopped *stopped) {
    wal_directory_close(&stopped->dir);
}

void stopped_close(struct stopped *stopped) {
    if (stopped->dir.path != NULL) {
        wal_directory_close(&stopped->dir);
    }
    image_free(&stopped->image);
    wal_recovered_free(&stopped->recovered);
    raft_slab_free(stopped->slab);
}
