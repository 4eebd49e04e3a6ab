// Fetching the state from another node: cmd/rebuild.h.
//
// The image is durable under its name before one of the node's own is removed, and until then a start takes the newest: the
// same as if nothing had been done. Behind an image that is ahead of the log, or of which the log's entry is another, a
// start begins the log anew, as after InstallSnapshot (paper figure 13): what is committed up to there is in the image.
#include "cmd/rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/stopped.h"
#include "ctl/client.h"
#include "wire/codec.h"

enum { TIMEOUT_MS = 10000 };

struct rebuilding {
    struct stopped stopped;
    char asked[512];  // who gave none, and why
};

// One image on its way.
struct fetching {
    struct rebuilding *rebuilding;
    struct ctl_client *client;
    struct arena arena;
    struct raft_entry_id last;  // index 0: nothing has been announced
    uint64_t bytes;             // announced
    uint64_t received;
    int fd;
    enum error_code code;
    struct error error;
};

// --- fetching ---

static void refuse(struct fetching *f, enum error_code code, const char *why) {
    if (f->code == OK) {
        f->code = error_set(&f->error, code, "%s", why);
    }
}

static void take_start(struct fetching *f, const struct pb_backup_start *start) {
    struct rebuilding *r = f->rebuilding;
    uint64_t kept;
    if (f->last.index != 0 || start->index == 0 || start->index > INT64_MAX || start->term > INT64_MAX) {
        refuse(f, ERR_INVALID, "what it sends is no image");
    } else if (start->generation != r->stopped.generation) {
        refuse(f, ERR_INVALID, "it is of another generation of the cluster");
    } else if (start->index < r->stopped.recovered.log.base.index) {
        refuse(f, ERR_INVALID, "it lags: its state is older than what is left of the log here");
    } else {
        f->last = (struct raft_entry_id){.term = start->term, .index = start->index};
        f->bytes = start->bytes;
        f->code = wal_image_open_part(&r->stopped.dir, f->last, &f->fd, &kept, &f->error);
    }
}

static void take_data(struct fetching *f, struct slice data) {
    if (f->fd < 0 || data.len > f->bytes - f->received) {
        refuse(f, ERR_INVALID, "it sends more than it has announced");
    }
    while (f->code == OK && data.len > 0) {
        ssize_t written = pwrite(f->fd, data.data, data.len, (off_t)f->received);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            f->code = error_set(&f->error, error_of_errno(errno), "writing the image to %s/snap: %s",
                                f->rebuilding->stopped.dir.path, strerror(errno));
            return;
        }
        f->received += (uint64_t)written;
        data = slice_of(data.data + written, data.len - (size_t)written);
    }
}

static void on_message(void *user, struct slice message) {
    struct fetching *f = user;
    struct pb_backup_response response;
    if (f->code != OK) {
        return;
    }
    arena_reset(&f->arena);
    if (pb_decode(&f->arena, &pb_backup_response_type, message, &response, &f->error) != OK) {
        f->code = f->error.code;
    } else if (response.has_start) {
        take_start(f, &response.start);
    } else {
        take_data(f, response.data);
    }
    if (f->code != OK) {
        ctl_stop(f->client);
    }
}

// Reads all of it again: the chain, the records and their digest.
static enum error_code verify(struct fetching *f) {
    struct rebuilding *r = f->rebuilding;
    struct image image;
    enum error_code code = image_load_part(&r->stopped.dir, f->last, &image, &f->error);
    if (code == OK && strcmp(image.cluster_id, r->stopped.config->cluster_id.text) != 0) {
        code = error_set(&f->error, ERR_FOREIGN, "its image is of cluster %s", image.cluster_id);
    } else if (code == OK && image.generation != r->stopped.generation) {
        code = error_set(&f->error, ERR_INVALID, "its image is of another generation of the cluster");
    }
    image_free(&image);
    return code;
}

static enum error_code stream(struct fetching *f) {
    if (!ctl_stream(f->client, pb_control_service_backup.path, slice_of(NULL, 0), on_message, f)) {
        return error_set(&f->error, ERR_UNAVAILABLE, "it is not reached");
    }
    struct ctl_end end = ctl_ended(f->client);
    if (f->code != OK) {
        return f->code;
    }
    if (end.status != RPC_OK) {
        return error_set(&f->error, ERR_UNAVAILABLE, "%s (%s)", end.message, rpc_status_name(end.status));
    }
    return f->last.index > 0 && f->received == f->bytes ? verify(f)
                                                        : error_set(&f->error, ERR_INVALID, "it sent a part of an image");
}

// Leaves a verified image as a part in snap/, or nothing.
static enum error_code fetch(struct rebuilding *r, const char *address, struct tls *tls, struct fetching *f) {
    struct ctl_endpoints endpoints = {.source = "the members", .count = 1};
    *f = (struct fetching){.rebuilding = r, .fd = -1, .code = OK};
    enum error_code code = wal_images_drop_parts(&r->stopped.dir, (struct raft_entry_id){0}, &f->error);
    if (code != OK) {
        return code;
    }
    memcpy(endpoints.addresses[0], address, strlen(address) + 1);
    f->client = ctl_client_new(&endpoints, tls, TIMEOUT_MS);
    code = stream(f);
    ctl_client_free(f->client);
    arena_free(&f->arena);
    if (f->fd >= 0) {
        close(f->fd);
    }
    struct error ignored = {0};
    if (code != OK) {
        wal_images_drop_parts(&r->stopped.dir, (struct raft_entry_id){0}, &ignored);
    }
    return code;
}

// --- one after the other ---

static bool is_local(enum error_code code) {
    return code == ERR_IO || code == ERR_NO_SPACE;
}

// True: there is no need to ask another.
static bool try_one(struct rebuilding *r, const struct wire_member *member, struct tls *tls, struct fetching *f) {
    if (raft_id_equal(&member->id, &r->stopped.config->node_id)) {
        return false;
    }
    enum error_code code = fetch(r, member->address, tls, f);
    f->code = code;
    if (code == OK || is_local(code)) {
        return true;
    }
    size_t len = strlen(r->asked);
    snprintf(r->asked + len, sizeof r->asked - len, "%s%s at %s: %.150s", len > 0 ? "; " : "", member->id.text,
             member->address, f->error.message);
    return false;
}

static enum error_code ask_all(struct rebuilding *r, struct tls *tls, struct fetching *f, const struct wire_member **from,
                               struct error *error) {
    const struct node_config *config = r->stopped.config;
    const struct wire_configuration *known = &r->stopped.configuration;
    for (size_t i = 0; i < known->count + config->peer_count; i++) {
        *from = i < known->count ? &known->members[i] : &config->peers[i - known->count];
        bool again = i >= known->count && wire_configuration_member(known, &(*from)->id) != NULL;
        if (!again && try_one(r, *from, tls, f)) {
            *error = f->error;
            return f->code;
        }
    }
    if (r->asked[0] == '\0') {
        return error_set(error, ERR_INVALID, "the log names no other member; name one in --peers");
    }
    return error_set(error, ERR_UNAVAILABLE, "nothing was changed: no node gave its state: %s", r->asked);
}

// The image takes the place of all others, also of newer ones: those are of the state that is not to be trusted.
static enum error_code put_in_place(struct rebuilding *r, struct raft_entry_id last, struct error *error) {
    struct raft_entry_id *list = NULL;
    size_t count = 0;
    enum error_code code = wal_image_adopt_part(&r->stopped.dir, last, error);
    if (code == OK) {
        code = wal_images(&r->stopped.dir, &list, &count, error);
    }
    for (size_t i = 0; code == OK && i < count; i++) {
        if (list[i].index != last.index || list[i].term != last.term) {
            code = wal_image_remove(&r->stopped.dir, list[i], error);
        }
    }
    free(list);
    return code;
}

enum error_code rebuild(const struct node_config *config, struct tls *tls, struct error *error) {
    struct rebuilding r = {.asked = ""};
    struct fetching f = {.received = 0};
    const struct wire_member *from = NULL;
    enum error_code code = stopped_open(config, &r.stopped, error);
    if (code == OK && r.stopped.dir.snap < 0) {
        code = error_set(error, ERR_INVALID, "%s has no snap/: start this version on it once", config->data_dir);
    }
    if (code == OK) {
        code = ask_all(&r, tls, &f, &from, error);
    }
    if (code == OK) {
        code = put_in_place(&r, f.last, error);
    }
    if (code == OK) {
        printf("fetched the state after entry %" PRIu64 " from %s at %s (%" PRIu64
               " bytes, verified); the log is as it was: start this node as usual\n",
               f.last.index, from->id.text, from->address, f.received);
    }
    stopped_close(&r.stopped);
    return code;
}
