// What the values of batond's flags are, and what is said of a bad one: batond_values.h.
#include "cmd/batond_values.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/ids.h"
#include "base/slog.h"
#include "node/node.h"

enum error_code value_id(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    enum error_code code = id_check(slice_of_str(setting->text), setting->source, error);
    if (code == OK) {
        *(struct raft_id *)field = raft_id_of(slice_of_str(setting->text));
    }
    return code;
}

enum error_code value_cloud(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    enum error_code code = cloud_check(slice_of_str(setting->text), setting->source, error);
    if (code == OK) {
        snprintf(field, CLOUD_MAX + 1, "%s", setting->text);
    }
    return code;
}

enum error_code value_data_dir(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    if (setting->text[0] == '\0') {
        return error_set(error, ERR_INVALID, "%s is empty; give a directory", setting->source);
    }
    return flag_text(flag, setting, field, error);
}

enum error_code value_election_timeout(const struct flag *flag, const struct setting *setting, void *field,
                                       struct error *error) {
    (void)flag;
    struct node_config *config = field;
    const char *text = setting->text;
    if (!duration_take(&text, &config->election_timeout_min_us) || *text++ != '-' ||
        !duration_take(&text, &config->election_timeout_max_us) || *text != '\0') {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is a range of times such as 300ms-600ms",
                         setting->source, setting->text);
    }
    if (config->election_timeout_min_us > config->election_timeout_max_us) {
        return error_set(error, ERR_INVALID, "%s: the shorter time comes first", setting->source);
    }
    return OK;
}

enum error_code value_log_level(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    if (!slog_level_parse(setting->text, field)) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are debug, info, warn and error", setting->source,
                         setting->text);
    }
    return OK;
}

enum error_code value_log_format(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    if (!slog_format_parse(setting->text, field)) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed are logfmt and json", setting->source, setting->text);
    }
    return OK;
}

enum error_code value_index(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    raft_index *index = field;
    char *end;
    errno = 0;
    *index = strtoull(setting->text, &end, 10);
    if (errno != 0 || end == setting->text || *end != '\0' || setting->text[0] == '-' || *index == 0) {
        return error_set(error, ERR_INVALID, "%s is \"%s\"; allowed is an index from 1 on", setting->source, setting->text);
    }
    return OK;
}

// One member, ID=HOST:PORT/CLOUD.
static enum error_code parse_peer(const struct setting *setting, struct slice text, struct wire_member *member,
                                  struct error *error) {
    const uint8_t *equals = memchr(text.data, '=', text.len);
    const uint8_t *slash = memrchr(text.data, '/', text.len);
    if (equals == NULL || slash == NULL || slash < equals) {
        return error_set(error, ERR_INVALID, "%s: \"%.*s\" is not ID=HOST:PORT/CLOUD, such as n1=10.0.0.1:7400/gcp",
                         setting->source, (int)text.len, (const char *)text.data);
    }
    struct slice id = slice_of(text.data, (size_t)(equals - text.data));
    struct slice address = slice_of(equals + 1, (size_t)(slash - equals - 1));
    struct slice cloud = slice_of(slash + 1, text.len - (size_t)(slash + 1 - text.data));
    enum error_code code = id_check(id, "id", error);
    if (code == OK) {
        code = address_check(address, "address", error);
    }
    if (code == OK) {
        code = address_refuse_wildcard(address, "address", error);
    }
    if (code == OK) {
        code = cloud_check(cloud, "cloud", error);
    }
    if (code != OK) {
        return error_wrap(error, "%s: \"%.*s\"", setting->source, (int)text.len, (const char *)text.data);
    }
    *member = (struct wire_member){.id = raft_id_of(id), .voter = true};
    memcpy(member->address, address.data, address.len);
    memcpy(member->cloud, cloud.data, cloud.len);
    return OK;
}

static int compare_members(const void *a, const void *b) {
    return strcmp(((const struct wire_member *)a)->id.text, ((const struct wire_member *)b)->id.text);
}

enum error_code value_peers(const struct flag *flag, const struct setting *setting, void *field, struct error *error) {
    (void)flag;
    struct node_config *config = field;
    for (const char *text = setting->text;;) {
        const char *end = strchrnul(text, ',');
        if (config->peer_count == MEMBERS_MAX) {
            return error_set(error, ERR_INVALID, "%s names more than %d members", setting->source, MEMBERS_MAX);
        }
        enum error_code code =
            parse_peer(setting, slice_of(text, (size_t)(end - text)), &config->peers[config->peer_count++], error);
        if (code != OK) {
            return code;
        }
        if (*end == '\0') {
            break;
        }
        text = end + 1;
    }
    qsort(config->peers, config->peer_count, sizeof config->peers[0], compare_members);
    return OK;
}
