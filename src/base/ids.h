// Checks of untrusted text, always on the raw bytes: ids, clouds, UTF-8.
#ifndef BATON_BASE_IDS_H
#define BATON_BASE_IDS_H

#include "base/error.h"
#include "base/slice.h"

// 1 to ID_MAX bytes of [A-Za-z0-9._-]. ERR_INVALID names `field` and says what is allowed.
enum error_code id_check(struct slice id, const char *field, struct error *error);

// Whether every byte is of [A-Za-z0-9._-]; true for no bytes.
bool id_bytes_only(struct slice text);

// A node's cloud: 1 to CLOUD_MAX bytes of [a-z0-9-]. Errors as of id_check.
enum error_code cloud_check(struct slice cloud, const char *field, struct error *error);

// A worker's cloud: "aws" or "gcp". Errors as of id_check.
enum error_code worker_cloud_check(struct slice cloud, const char *field, struct error *error);

// The length in bytes of the UTF-8 sequence at the start of s; 0 if s is empty or it is not valid.
size_t utf8_sequence(struct slice s);

// Valid UTF-8 without NUL.
bool utf8_valid(struct slice text);

#endif
