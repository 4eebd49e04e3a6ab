// backup: streams an image of the state from a node into a file. backup check: verifies such a file, without a cluster.
//
// The file has its name only when it is whole, verified and synced: until then it is FILE.part.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/write.h"
#include "ctl/nodes.h"
#include "ctl/progress.h"
#include "wire/codec.h"

enum { FILE_MODE = 0600 };  // it has all that the cluster knows

struct taking {
    struct ctl *ctl;
    const char *path;
    char *part;
    int fd;
    struct progress progress;
    bool started;
    char node[ID_MAX + 1];
    struct pb_backup_start start;  // but its texts
    bool leaderless;
    uint64_t received;
    enum ctl_exit status;
};

static enum ctl_exit failed(struct ctl *ctl, const char *doing, const char *path) {
    int reason = errno;
    error_set(&ctl->error, error_of_errno(reason), "%s %s: %s; no backup was made", doing, path, strerror(reason));
    return CTL_FAILED;
}

// --- the file ---

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static enum ctl_exit refuse_existing(struct ctl *ctl, const char *path) {
    error_set(&ctl->error, ERR_INVALID, "%s exists; give another name, or --force to replace it", path);
    return CTL_FAILED;
}

// Opens FILE.part, which may be left over from an interrupted one, but not in use.
static enum ctl_exit open_part(struct taking *t) {
    struct ctl *ctl = t->ctl;
    if (!ctl->options->force && exists(t->path)) {
        return refuse_existing(ctl, t->path);
    }
    t->fd = open(t->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (t->fd < 0) {
        return failed(ctl, "creating", t->part);
    }
    if (flock(t->fd, LOCK_EX | LOCK_NB) != 0) {
        close(t->fd);
        t->fd = -1;
        error_set(&ctl->error, ERR_BUSY, "%s is being written by another backup", t->part);
        return CTL_FAILED;
    }
    return ftruncate(t->fd, 0) == 0 ? CTL_OK : failed(ctl, "emptying", t->part);
}

static enum ctl_exit append(struct taking *t, struct slice data) {
    if (!write_whole(t->fd, data)) {
        return failed(t->ctl, "writing", t->part);
    }
    t->received += data.len;
    return CTL_OK;
}

static enum ctl_exit sync_directory_of(struct ctl *ctl, const char *path) {
    char *directory = mem_strdup(path);
    char *slash = strrchr(directory, '/');
    if (slash != NULL) {
        slash[slash == directory ? 1 : 0] = '\0';
    }
    int fd = open(slash != NULL ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    enum ctl_exit status = synced ? CTL_OK : failed(ctl, "syncing the directory of", path);
    if (fd >= 0) {
        close(fd);
    }
    free(directory);
    return status;
}

// --- the stream ---

static void take_start(struct taking *t, const struct pb_backup_start *start) {
    t->started = true;
    t->start = *start;
    t->leaderless = start->leader.len == 0;
    snprintf(t->node, sizeof t->node, "%.*s", (int)start->node.len, (const char *)start->node.data);
}

static void show_progress(struct taking *t) {
    char detail[64];
    snprintf(detail, sizeof detail, "of %.1f MB", (double)t->start.bytes / 1e6);
    progress_show(&t->progress, "backup", (double)t->received / ((double)t->start.bytes + 1), detail);
}

static void on_message(void *user, struct slice message) {
    struct taking *t = user;
    struct ctl *ctl = t->ctl;
    struct pb_backup_response response;
    if (t->status != CTL_OK) {
        return;
    }
    arena_reset(&ctl->arena);
    if (pb_decode(&ctl->arena, &pb_backup_response_type, message, &response, &ctl->error) != OK) {
        t->status = ctl_undecodable(ctl);
    } else if (response.has_start) {
        take_start(t, &response.start);
    } else if (response.data.len > t->start.bytes - t->received) {
        error_set(&ctl->error, ERR_INVALID, "%s sends more than it has announced; no backup was made", t->node);
        t->status = CTL_FAILED;
    } else {
        t->status = append(t, response.data);
        show_progress(t);
    }
    if (t->status != CTL_OK) {
        ctl_stop(ctl->client);
    }
}

// From the node that was asked for. With none, ctl_stream takes any.
static enum ctl_exit choose_node(struct ctl *ctl) {
    struct ctl_probe probes[NODES_MAX];
    struct node_status nodes[NODES_MAX];
    enum ctl_exit status = CTL_FAILED;
    if (ctl->options->node == NULL) {
        return CTL_OK;
    }
    struct slice wanted = slice_of_str(ctl->options->node);
    size_t count = nodes_ask(ctl, probes, nodes);
    error_set(&ctl->error, ERR_INVALID, "there is no node %s; see batonctl member list", ctl->options->node);
    for (size_t i = 0; i < count && status != CTL_OK; i++) {
        if (nodes[i].reachable && slice_equal(nodes[i].status.node, wanted)) {
            ctl_begin_with(ctl->client, slice_of_str(nodes[i].probe->address));
            status = CTL_OK;
        } else if (slice_equal(nodes[i].status.node, wanted)) {
            error_set(&ctl->error, ERR_UNAVAILABLE, "%s is not reached: %.*s", ctl->options->node, (int)nodes[i].why.len,
                      (const char *)nodes[i].why.data);
        }
    }
    ctl_probes_free(probes, count);
    return status;
}

// Asks one node after the other until one begins, or the one that was asked for.
static enum ctl_exit stream(struct taking *t) {
    struct ctl *ctl = t->ctl;
    size_t tries = ctl->options->node != NULL ? 1 : ctl->endpoints->count;
    for (size_t i = 0; i < tries && !t->started; i++) {
        if (!ctl_stream(ctl->client, pb_control_service_backup.path, slice_of(NULL, 0), on_message, t)) {
            return ctl_unreachable(ctl->client, &ctl->error);
        }
        if (t->status != CTL_OK) {
            return t->status;
        }
        struct ctl_end end = ctl_ended(ctl->client);
        if (end.status == RPC_OK) {
            return CTL_OK;
        }
        error_set(&ctl->error, ERR_UNAVAILABLE, "%s (%s, from %s); no backup was made", end.message,
                  rpc_status_name(end.status), end.address);
        ctl_next_endpoint(ctl->client);
    }
    return CTL_FAILED;
}

// --- the end ---

// Whether the file is what the node has announced, and whole.
static enum ctl_exit verify(struct taking *t, struct backup_contents *contents) {
    struct ctl *ctl = t->ctl;
    if (t->received != t->start.bytes) {
        error_set(&ctl->error, ERR_IO, "%s sent %" PRIu64 " of %" PRIu64 " bytes; no backup was made", t->node, t->received,
                  t->start.bytes);
        return CTL_FAILED;
    }
    if (fsync(t->fd) != 0) {
        return failed(ctl, "syncing", t->part);
    }
    if (ctl->read_backup(t->part, false, contents, &ctl->error) != OK) {
        error_wrap(&ctl->error, "what %s sent is no backup", t->node);
        return CTL_FAILED;
    }
    if (contents->index != t->start.index || contents->term != t->start.term) {
        error_set(&ctl->error, ERR_IO, "%s sent an image of another entry than it had announced; no backup was made",
                  t->node);
        return CTL_FAILED;
    }
    return CTL_OK;
}

static enum ctl_exit name_it(struct taking *t) {
    struct ctl *ctl = t->ctl;
    if (!ctl->options->force && exists(t->path)) {
        return refuse_existing(ctl, t->path);
    }
    if (rename(t->part, t->path) != 0) {
        return failed(ctl, "renaming", t->part);
    }
    free(t->part);
    t->part = NULL;
    return sync_directory_of(ctl, t->path);
}

static void warn(const struct taking *t) {
    if (t->leaderless) {
        fprintf(stderr,
                "batonctl: %s knows no leader: others may have newer entries than this backup, which ends at %" PRIu64 "\n",
                t->node, t->start.index);
    } else if (t->start.commit_index > t->start.index) {
        fprintf(stderr, "batonctl: %s lags behind: the backup ends at %" PRIu64 ", and %" PRIu64 " is committed\n", t->node,
                t->start.index, t->start.commit_index);
    }
}

static enum ctl_exit print_taken(struct taking *t, const struct backup_contents *contents) {
    struct ctl *ctl = t->ctl;
    char digest[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, contents->digest);
    if (ctl->options->json) {
        struct json json = {.out = &ctl->out};
        json_begin(&json, '{');
        json_text(&json, "file", slice_of_str(t->path));
        json_text(&json, "node", slice_of_str(t->node));
        json_u64(&json, "index", contents->index);
        json_u64(&json, "bytes", contents->bytes);
        json_text(&json, "digest", slice_of_str(digest));
        json_end(&json, '}');
        buf_append_str(&ctl->out, "\n");
        return ctl_print(ctl);
    }
    struct table table;
    table_begin(&table, "FILE|NODE|INDEX|BYTES|DIGEST");
    table_text(&table, slice_of_str(t->path));
    table_text(&table, slice_of_str(t->node));
    table_u64(&table, contents->index);
    table_u64(&table, contents->bytes);
    table_text(&table, slice_of_str(digest));
    table_end(&table, &ctl->out);
    return ctl_print(ctl);
}

static enum ctl_exit take(struct taking *t) {
    struct backup_contents contents;
    enum ctl_exit status = open_part(t);
    if (status == CTL_OK) {
        status = choose_node(t->ctl);
    }
    if (status == CTL_OK) {
        status = stream(t);
    }
    progress_clear(&t->progress);
    if (status == CTL_OK) {
        status = verify(t, &contents);
    }
    if (status == CTL_OK) {
        status = name_it(t);
    }
    if (status != CTL_OK) {
        return status;
    }
    warn(t);
    return print_taken(t, &contents);
}

enum ctl_exit ctl_backup(struct ctl *ctl) {
    struct taking t = {.ctl = ctl, .path = ctl->options->arguments[0], .fd = -1};
    struct buf part = {.len = 0};
    buf_printf(&part, "%s.part", t.path);
    buf_append(&part, "", 1);
    t.part = mem_strdup((const char *)part.data);
    buf_free(&part);
    progress_begin(&t.progress);
    enum ctl_exit status = take(&t);
    if (t.part != NULL && t.fd >= 0) {
        unlink(t.part);
    }
    if (t.fd >= 0) {
        close(t.fd);
    }
    free(t.part);
    return status;
}

// --- check ---

static void print_members(struct json *json, const struct wire_configuration *configuration) {
    json_open(json, "members", '[');
    for (size_t i = 0; i < configuration->count; i++) {
        const struct wire_member *member = &configuration->members[i];
        json_begin(json, '{');
        json_text(json, "id", raft_id_slice(&member->id));
        json_text(json, "address", slice_of_str(member->address));
        json_text(json, "cloud", slice_of_str(member->cloud));
        json_bool(json, "voter", member->voter);
        json_end(json, '}');
    }
    json_end(json, ']');
}

static void print_json(struct ctl *ctl, const struct backup_contents *contents) {
    char digest[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, contents->digest);
    struct json json = {.out = &ctl->out};
    json_begin(&json, '{');
    json_text(&json, "cluster", raft_id_slice(&contents->configuration.cluster_id));
    json_u64(&json, "generation", contents->configuration.generation);
    json_u64(&json, "index", contents->index);
    json_u64(&json, "term", contents->term);
    json_u64(&json, "bytes", contents->bytes);
    json_text(&json, "digest", slice_of_str(digest));
    json_u64(&json, "keys", contents->keys);
    json_u64(&json, "workers", contents->workers);
    json_u64(&json, "sessions", contents->sessions);
    print_members(&json, &contents->configuration);
    json_end(&json, '}');
    buf_append_str(&ctl->out, "\n");
}

static void print_text(struct ctl *ctl, const struct backup_contents *contents) {
    const struct wire_configuration *configuration = &contents->configuration;
    buf_printf(&ctl->out,
               "a whole backup of cluster %s, generation %" PRIu64 ", up to index %" PRIu64 ", term %" PRIu64 "\n"
               "%" PRIu64 " bytes, digest %016" PRIx64 ": %" PRIu64 " keys, %" PRIu64 " workers, %" PRIu64 " sessions\n"
               "members",
               configuration->cluster_id.text, configuration->generation, contents->index, contents->term, contents->bytes,
               contents->digest, contents->keys, contents->workers, contents->sessions);
    for (size_t i = 0; i < configuration->count; i++) {
        const struct wire_member *member = &configuration->members[i];
        buf_printf(&ctl->out, "%s %s=%s/%s%s", i == 0 ? "" : ",", member->id.text, member->address, member->cloud,
                   member->voter ? "" : " (learner)");
    }
    buf_append_str(&ctl->out, "\n");
}

enum ctl_exit ctl_backup_check(struct ctl *ctl) {
    struct backup_contents contents;
    switch (ctl->read_backup(ctl->options->arguments[0], true, &contents, &ctl->error)) {
    case OK:
        (ctl->options->json ? print_json : print_text)(ctl, &contents);
        return ctl_print(ctl);
    case ERR_SNAP_CORRUPT:
    case ERR_WAL_VERSION:
        return CTL_DAMAGED;
    default:
        return CTL_FAILED;
    }
}
