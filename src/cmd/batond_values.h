// Parsers of those values of flags that batond alone has: each a `parse` of struct flag (cmd/flags.h). ERR_INVALID: the
// message names the flag or variable, and what is allowed.
#ifndef BATON_CMD_BATOND_VALUES_H
#define BATON_CMD_BATOND_VALUES_H

#include "cmd/flags.h"

// An id, into a struct raft_id.
enum error_code value_id(const struct flag *flag, const struct setting *setting, void *field, struct error *error);

// A cloud, into a text of the size of node_config's.
enum error_code value_cloud(const struct flag *flag, const struct setting *setting, void *field, struct error *error);

// A text that is not empty, as flag_text.
enum error_code value_data_dir(const struct flag *flag, const struct setting *setting, void *field, struct error *error);

// T-T, into the election timeouts of a struct node_config.
enum error_code value_election_timeout(const struct flag *flag, const struct setting *setting, void *field,
                                       struct error *error);

// Into an enum slog_level, and an enum slog_format.
enum error_code value_log_level(const struct flag *flag, const struct setting *setting, void *field, struct error *error);
enum error_code value_log_format(const struct flag *flag, const struct setting *setting, void *field, struct error *error);

// An index from 1 on, into a raft_index.
enum error_code value_index(const struct flag *flag, const struct setting *setting, void *field, struct error *error);

// ID=HOST:PORT/CLOUD,..., into the peers of a struct node_config, sorted by id.
enum error_code value_peers(const struct flag *flag, const struct setting *setting, void *field, struct error *error);

#endif
