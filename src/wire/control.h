// ControlService's messages to and from plain structs: requests decoded and checked by the server, encoded by clients;
// responses the other way round. All slices of a decoded message point into its bytes; lists are in the arena.
//
// Every decoder: ERR_MALFORMED (not such a message), ERR_INVALID or ERR_TOO_LARGE, with a message that names the field and
// what is allowed. Request decoders check fields; response decoders only decode.
#ifndef BATON_WIRE_CONTROL_H
#define BATON_WIRE_CONTROL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "raft/raft.h"
#include "state/state.h"

// --- writes: a request is a command without its time ---

// Put and Delete requests. Decoded into a command (operation, put or delete, client_id, sequence, acknowledged_below); keys
// of 1 to KEY_MAX bytes, a session's client id by id_check with sequence >= 1.
enum error_code wire_put_request_decode(struct slice bytes, struct state_command *command, struct error *error);
enum error_code wire_delete_request_decode(struct slice bytes, struct state_command *command, struct error *error);
void wire_put_request_encode(const struct state_command *command, struct buf *out);
void wire_delete_request_encode(const struct state_command *command, struct buf *out);

void wire_put_response_encode(uint64_t revision, struct buf *out);
void wire_delete_response_encode(uint64_t revision, bool existed, struct buf *out);
enum error_code wire_put_response_decode(struct slice bytes, uint64_t *revision, struct error *error);
enum error_code wire_delete_response_decode(struct slice bytes, uint64_t *revision, bool *existed, struct error *error);

// --- reads ---

struct wire_get_request {
    struct slice key;
    bool stale;
};

enum error_code wire_get_request_decode(struct slice bytes, struct wire_get_request *request, struct error *error);
void wire_get_request_encode(const struct wire_get_request *request, struct buf *out);

struct wire_get_response {
    struct slice value;
    uint64_t revision;
    uint64_t read_index;
};

void wire_get_response_encode(const struct wire_get_response *response, struct buf *out);
enum error_code wire_get_response_decode(struct slice bytes, struct wire_get_response *response, struct error *error);

struct wire_list_request {
    struct slice prefix;
    struct slice start_after;
    uint32_t limit;  // 0: LIST_DEFAULT
    bool stale;
};

enum error_code wire_list_request_decode(struct slice bytes, struct wire_list_request *request, struct error *error);
void wire_list_request_encode(const struct wire_list_request *request, struct buf *out);

struct wire_list_response {
    const struct state_item *items;
    size_t count;
    bool more;
    uint64_t read_index;
};

void wire_list_response_encode(const struct wire_list_response *response, struct buf *out);
enum error_code wire_list_response_decode(struct arena *arena, struct slice bytes, struct wire_list_response *response,
                                          struct error *error);

struct wire_watch_request {
    struct slice prefix;
    bool has_from;
    uint64_t from_revision;
};

enum error_code wire_watch_request_decode(struct slice bytes, struct wire_watch_request *request, struct error *error);
void wire_watch_request_encode(const struct wire_watch_request *request, struct buf *out);

struct wire_watch_response {
    const struct state_change *events;
    size_t count;
    uint64_t revision;
};

void wire_watch_response_encode(const struct wire_watch_response *response, struct buf *out);
enum error_code wire_watch_response_decode(struct arena *arena, struct slice bytes, struct wire_watch_response *response,
                                           struct error *error);

// --- status, log, workers, leadership ---

struct wire_round_trip {
    struct slice id;
    double rtt_ms;
};

struct wire_member_status {
    struct slice id;
    struct slice address;
    struct slice http_address;
    struct slice cloud;
    bool voter;
    bool reachable;
    double rtt_ms;
    uint64_t match_index;
    double rtt_spread_ms;
    uint32_t losses;
    double commit_ms;
    const struct wire_round_trip *round_trips;
    size_t round_trip_count;
    double disk_sync_ms;
    bool disk_full;
};

struct wire_placement {
    bool on;
    struct slice leader_cloud;
    uint64_t pause_ms;
    raft_term pause_term;
    uint64_t cooldown_ms;
    raft_term cooldown_term;
    struct slice decision;
    struct slice moved_to;
    struct slice moved_why;
    uint64_t moved_ago_ms;
};

struct wire_status_response {
    struct slice node;
    struct slice cluster_id;
    struct slice role;
    uint64_t term;
    struct slice leader;
    struct slice leader_address;
    uint64_t commit_index;
    uint64_t last_applied;
    uint64_t last_log_index;
    struct slice version;
    uint64_t uptime_ms;
    const struct wire_member_status *members;
    size_t member_count;
    struct wire_placement placement;
};

void wire_status_response_encode(const struct wire_status_response *response, struct buf *out);
enum error_code wire_status_response_decode(struct arena *arena, struct slice bytes, struct wire_status_response *response,
                                            struct error *error);

struct wire_read_log_request {
    uint64_t from;
    uint64_t to;
};

enum error_code wire_read_log_request_decode(struct slice bytes, struct wire_read_log_request *request, struct error *error);
void wire_read_log_request_encode(const struct wire_read_log_request *request, struct buf *out);

struct wire_log_entry {
    struct raft_entry_id id;
    enum raft_entry_type type;
    struct slice command;
    struct slice summary;
};

struct wire_read_log_response {
    const struct wire_log_entry *entries;
    size_t count;
    uint64_t next;
    uint64_t commit_index;
};

void wire_read_log_response_encode(const struct wire_read_log_response *response, struct buf *out);
enum error_code wire_read_log_response_decode(struct arena *arena, struct slice bytes,
                                              struct wire_read_log_response *response, struct error *error);

struct wire_worker_info {
    struct state_worker worker;
    bool has_last_seen;
    int64_t last_seen_unix_ms;
};

struct wire_list_workers_request {
    struct slice start_after;
    uint32_t limit;  // 0: all
};

enum error_code wire_list_workers_request_decode(struct slice bytes, struct wire_list_workers_request *request,
                                                 struct error *error);
void wire_list_workers_request_encode(const struct wire_list_workers_request *request, struct buf *out);

struct wire_list_workers_response {
    const struct wire_worker_info *workers;
    size_t count;
    uint64_t read_index;
    bool more;
};

void wire_list_workers_response_encode(const struct wire_list_workers_response *response, struct buf *out);
enum error_code wire_list_workers_response_decode(struct arena *arena, struct slice bytes,
                                                  struct wire_list_workers_response *response, struct error *error);

enum error_code wire_transfer_request_decode(struct slice bytes, struct raft_id *target, struct error *error);
void wire_transfer_request_encode(const struct raft_id *target, struct buf *out);
void wire_transfer_response_encode(const struct raft_id *leader, raft_term term, struct buf *out);
enum error_code wire_transfer_response_decode(struct slice bytes, struct raft_id *leader, raft_term *term,
                                              struct error *error);

#endif
