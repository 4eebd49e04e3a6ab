// put, get, delete, list.
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "baton/v1/control.pb.h"
#include "ctl/paging.h"
#include "wire/codec.h"

static const char *argument(const struct ctl *ctl, size_t i) {
    return ctl->options->arguments[i] == NULL ? "" : ctl->options->arguments[i];
}

// --- writes ---

void ctl_new_client_id(char client_id[CTL_CLIENT_ID_SIZE]) {
    uint64_t random[2];
    while (getrandom(random, sizeof random, 0) != sizeof random)
        ;
    snprintf(client_id, CTL_CLIENT_ID_SIZE, "batonctl-%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
}

// Each run is a new client with a single write, sequence 1.
static struct pb_session open_session(char client_id[CTL_CLIENT_ID_SIZE]) {
    ctl_new_client_id(client_id);
    return (struct pb_session){.client_id = slice_of_str(client_id), .sequence = 1};
}

// Stops reading beyond what a command can hold.
static enum ctl_exit read_input(struct ctl *ctl, struct buf *value) {
    while (value->len <= COMMAND_MAX) {
        uint8_t *room = buf_reserve(value, 64 * KIB);
        ssize_t got = read(STDIN_FILENO, room, 64 * KIB);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            error_set(&ctl->error, ERR_IO, "cannot read standard input: %s", strerror(errno));
            return CTL_FAILED;
        }
        if (got == 0) {
            return CTL_OK;
        }
        value->len += (size_t)got;
    }
    error_set(&ctl->error, ERR_TOO_LARGE, "the value on standard input is larger than the %d bytes allowed", COMMAND_MAX);
    return CTL_FAILED;
}

static enum ctl_exit put_value(struct ctl *ctl, struct slice value) {
    char client_id[CTL_CLIENT_ID_SIZE];
    struct pb_put_request request = {
        .key = slice_of_str(argument(ctl, 0)),
        .value = value,
        .has_expected_revision = ctl->options->has_expect,
        .expected_revision = ctl->options->expect,
        .has_session = true,
        .session = open_session(client_id),
    };
    pb_encode(&pb_put_request_type, &request, &ctl->request);
    struct slice answer;
    enum ctl_exit status = ctl_ask(ctl, CTL_WRITE, pb_control_service_put.path, &answer);
    struct pb_put_response response;
    if (status != CTL_OK) {
        return status;
    }
    if (pb_decode(NULL, &pb_put_response_type, answer, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    return ctl_print_revision(ctl, response.revision);
}

enum ctl_exit ctl_put(struct ctl *ctl) {
    if (strcmp(argument(ctl, 1), "-") != 0) {
        return put_value(ctl, slice_of_str(argument(ctl, 1)));
    }
    struct buf value = {.len = 0};
    enum ctl_exit status = read_input(ctl, &value);
    if (status == CTL_OK) {
        status = put_value(ctl, buf_slice(&value));
    }
    buf_free(&value);
    return status;
}

static enum ctl_exit no_such_key(struct ctl *ctl) {
    error_set(&ctl->error, ERR_INVALID, "there is no key \"%s\"", argument(ctl, 0));
    return CTL_NOT_FOUND;
}

enum ctl_exit ctl_delete(struct ctl *ctl) {
    char client_id[CTL_CLIENT_ID_SIZE];
    struct pb_delete_request request = {
        .key = slice_of_str(argument(ctl, 0)),
        .has_expected_revision = ctl->options->has_expect,
        .expected_revision = ctl->options->expect,
        .has_session = true,
        .session = open_session(client_id),
    };
    pb_encode(&pb_delete_request_type, &request, &ctl->request);
    struct slice answer;
    enum ctl_exit status = ctl_ask(ctl, CTL_WRITE, pb_control_service_delete.path, &answer);
    struct pb_delete_response response;
    if (status != CTL_OK) {
        return status;
    }
    if (pb_decode(NULL, &pb_delete_response_type, answer, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    return response.existed ? ctl_print_revision(ctl, response.revision) : no_such_key(ctl);
}

// --- reads ---

static void json_item(struct json *json, const struct pb_key_value *item) {
    json_begin(json, '{');
    json_bytes(json, "key", item->key);
    json_bytes(json, "value", item->value);
    json_u64(json, "revision", item->revision);
    json_end(json, '}');
}

// A member that does not lead and can be reached, in the cloud that was asked for; NULL: there is none.
static const struct pb_member_status *find_follower(const struct pb_status_response *status, const char *cloud) {
    for (size_t i = 0; i < status->members_count; i++) {
        const struct pb_member_status *member = &status->members[i];
        if (member->reachable && !slice_equal(member->id, status->leader) &&
            (cloud == NULL || slice_equal(member->cloud, slice_of_str(cloud)))) {
            return member;
        }
    }
    return NULL;
}

// With --from follower: lets the next call begin with one. If it fails then, any node will do: all ask the leader.
static enum ctl_exit choose_follower(struct ctl *ctl) {
    const char *cloud = ctl->options->follower_cloud;
    struct pb_status_response status;
    struct slice answer;
    if (!ctl->options->follower) {
        return CTL_OK;
    }
    buf_clear(&ctl->request);
    enum ctl_exit exit = ctl_ask(ctl, CTL_ANY_NODE, pb_control_service_status.path, &answer);
    if (exit != CTL_OK) {
        return exit;
    }
    if (pb_decode(&ctl->arena, &pb_status_response_type, answer, &status, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    const struct pb_member_status *follower = find_follower(&status, cloud);
    if (follower == NULL) {
        error_set(&ctl->error, ERR_UNAVAILABLE,
                  "no follower%s%s can be reached now; see batonctl status, or leave --from out",
                  cloud == NULL ? "" : " in ", cloud == NULL ? "" : cloud);
        return CTL_FAILED;
    }
    ctl_begin_with(ctl->client, follower->address);
    return CTL_OK;
}

static enum ctl_need read_need(const struct ctl *ctl) {
    return ctl->options->stale || ctl->options->follower ? CTL_ANY_NODE : CTL_READ;
}

enum ctl_exit ctl_get(struct ctl *ctl) {
    struct pb_get_request request = {
        .key = slice_of_str(argument(ctl, 0)), .stale = ctl->options->stale, .follower = ctl->options->follower};
    enum ctl_exit chosen = choose_follower(ctl);
    if (chosen != CTL_OK) {
        return chosen;
    }
    pb_encode(&pb_get_request_type, &request, &ctl->request);
    struct slice answer;
    enum ctl_exit status = ctl_ask(ctl, read_need(ctl), pb_control_service_get.path, &answer);
    if (status == CTL_NOT_FOUND) {
        return no_such_key(ctl);
    }
    struct pb_get_response response;
    if (status != CTL_OK) {
        return status;
    }
    if (pb_decode(NULL, &pb_get_response_type, answer, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    if (ctl->options->json) {
        struct pb_key_value item = {.key = request.key, .value = response.value, .revision = response.revision};
        json_item(&(struct json){.out = &ctl->out}, &item);
        buf_append_str(&ctl->out, "\n");
    } else {
        buf_append_slice(&ctl->out, response.value);
        if (isatty(STDOUT_FILENO)) {
            buf_append_str(&ctl->out, "\n");
        }
    }
    return ctl_print(ctl);
}

// How many keys the next page may have; 0: as many as a page has.
static uint32_t page_limit(const struct ctl *ctl, const struct paging *paging) {
    uint64_t left = ctl->options->limit - paging->count;
    return ctl->options->limit == 0 || left > LIST_DEFAULT ? 0 : (uint32_t)left;
}

// Adds one page.
static enum ctl_exit list_page(struct ctl *ctl, struct paging *paging) {
    enum { VALUE_SHOWN_MAX = 60 };
    struct pb_list_request request = {
        .prefix = slice_of_str(argument(ctl, 0)),
        .start_after = buf_slice(&paging->after),
        .limit = page_limit(ctl, paging),
        .stale = ctl->options->stale,
        .follower = ctl->options->follower,
        .at = paging->at,
    };
    pb_encode(&pb_list_request_type, &request, &ctl->request);
    struct slice answer;
    enum ctl_exit status = ctl_ask(ctl, paging_need(paging, read_need(ctl)), pb_control_service_list.path, &answer);
    struct pb_list_response response;
    if (status != CTL_OK) {
        return status;
    }
    if (pb_decode(&ctl->arena, &pb_list_response_type, answer, &response, &ctl->error) != OK) {
        return ctl_undecodable(ctl);
    }
    for (size_t i = 0; i < response.items_count; i++) {
        const struct pb_key_value *item = &response.items[i];
        struct buf shown = {.len = 0};
        if (ctl->options->json) {
            json_item(&paging->json, item);
            continue;
        }
        table_text(&paging->table, item->key);
        table_u64(&paging->table, item->revision);
        table_u64(&paging->table, item->value.len);
        text_for_terminal(&shown, item->value, VALUE_SHOWN_MAX);
        table_text(&paging->table, buf_slice(&shown));
        buf_free(&shown);
    }
    struct slice last = response.items_count > 0 ? response.items[response.items_count - 1].key : slice_of(NULL, 0);
    paging->count += response.items_count;
    bool enough = ctl->options->limit != 0 && paging->count >= ctl->options->limit;
    paging_next(paging, response.more && !enough, last, response.read_index);
    return CTL_OK;
}

enum ctl_exit ctl_list(struct ctl *ctl) {
    enum ctl_exit chosen = choose_follower(ctl);
    return chosen == CTL_OK ? paging_print(ctl, "KEY|REVISION|BYTES|VALUE", list_page) : chosen;
}
