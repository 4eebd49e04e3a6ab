// Finds the endpoints: --endpoints, else BATON_ENDPOINTS, else a file, else the default.
#include "ctl/endpoints.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"

static enum error_code parse_list(const char *list, struct ctl_endpoints *endpoints, struct error *error) {
    for (const char *text = list;; text++) {
        const char *end = strchrnul(text, ',');
        struct slice address = slice_of(text, (size_t)(end - text));
        enum error_code code = address_check(address, endpoints->source, error);
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
