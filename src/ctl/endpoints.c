// Finds the endpoints: --endpoints, else BATON_ENDPOINTS, else a file, else the default.
#include "ctl/endpoints.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "base/array.h"

// Blanks around an address are what people write between two.
static struct slice trim(struct slice text) {
    while (text.len > 0 && text.data[0] == ' ') {
        text = slice_of(text.data + 1, text.len - 1);
    }
    while (text.len > 0 && text.data[text.len - 1] == ' ') {
        text.len--;
    }
    return text;
}

// Users of other systems write URLs.
static enum error_code check_scheme(struct slice address, const char *source, struct error *error) {
    static const struct {
        const char *scheme;
        const char *instead;
    } schemes[] = {{"http://", ""}, {"https://", " (TLS is used with --tls-cert, --tls-key and --tls-ca)"}};
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        size_t len = strlen(schemes[i].scheme);
        if (address.len >= len && memcmp(address.data, schemes[i].scheme, len) == 0) {
            struct slice rest = slice_of(address.data + len, strcspn((const char *)address.data + len, "/, "));
            return error_set(error, ERR_INVALID, "%s: an endpoint is HOST:PORT, without %s: write %.*s%s", source,
                             schemes[i].scheme, (int)rest.len, (const char *)rest.data, schemes[i].instead);
        }
    }
    return OK;
}

static enum error_code parse_list(const char *list, struct ctl_endpoints *endpoints, struct error *error) {
    for (const char *text = list;; text++) {
        const char *end = strchrnul(text, ',');
        struct slice address = trim(slice_of(text, (size_t)(end - text)));
        enum error_code code = check_scheme(address, endpoints->source, error);
        if (code == OK) {
            code = address_check(address, endpoints->source, error);
        }
        if (code != OK) {
            return code;
        }
        if (endpoints->count == CTL_ENDPOINTS_MAX) {
            return error_set(error, ERR_INVALID, "%s: more than %d addresses", endpoints->source, CTL_ENDPOINTS_MAX);
        }
        char *copy = endpoints->addresses[endpoints->count++];
        memcpy(copy, address.data, address.len);
        copy[address.len] = '\0';
        if (*end == '\0') {
            return OK;
        }
        text = end;
    }
}

static enum error_code parse_file(FILE *file, struct ctl_endpoints *endpoints, struct error *error) {
    char line[CTL_ENDPOINTS_MAX * (ADDRESS_MAX + 1) + 2];
    if (fgets(line, sizeof line, file) == NULL) {
        return error_set(error, ERR_INVALID, "%s: is empty; a line HOST:PORT,... is expected", endpoints->source);
    }
    line[strcspn(line, "\r\n")] = '\0';
    return parse_list(line, endpoints, error);
}

enum error_code ctl_endpoints_find(const char *flag, const char *environment, const char *path,
                                   struct ctl_endpoints *endpoints, struct error *error) {
    *endpoints = (struct ctl_endpoints){.source = "--endpoints"};
    if (flag != NULL) {
        return parse_list(flag, endpoints, error);
    }
    endpoints->source = "BATON_ENDPOINTS";
    if (environment != NULL && environment[0] != '\0') {
        return parse_list(environment, endpoints, error);
    }
    endpoints->source = path;
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        enum error_code code = parse_file(file, endpoints, error);
        fclose(file);
        return code;
    }
    if (errno != ENOENT && errno != ENOTDIR) {
        return error_set(error, ERR_IO, "%s: %s", path, strerror(errno));
    }
    endpoints->source = "the default";
    return parse_list(CTL_ENDPOINTS_DEFAULT, endpoints, error);
}
