// A command of a scenario, read word by word. What does not fit sets the cluster's error, and 0 or NULL comes back.
#ifndef BATON_TESTS_SCENARIOS_WORDS_H
#define BATON_TESTS_SCENARIOS_WORDS_H

#include "cluster.h"

enum { WORDS_MAX = 64, WORDS_TEXT_MAX = 64 };

struct words {
    struct cluster *cluster;
    char *words[WORDS_MAX];
    size_t count;
    size_t at;  // the next one
};

// Splits the text, which must outlive the words.
void words_split(struct words *words, char *text);

// Whether another word follows; false after an error.
bool words_more(const struct words *words);
// The next one; `expected` names it if it is missing.
const char *words_next(struct words *words, const char *expected);
// Whether the next word is this one, which is then taken.
bool words_take(struct words *words, const char *word);
// The next word is an error.
void words_unexpected(struct words *words);

// "PREFIX17".
uint64_t words_number(struct words *words, const char *prefix, const char *expected);
// "150ms" or "20us", in microseconds.
uint64_t words_duration(struct words *words);
// "5(t4)".
struct raft_entry_id words_entry_id(struct words *words);
// "n1", a member.
struct server *words_server(struct words *words);
// The rest of the command; all members if it is empty or `all`.
void words_servers(struct words *words, bool chosen[MEMBERS_MAX]);

// Whether the whole word is of this form; never an error.
bool words_scan_number(const char *word, const char *prefix, uint64_t *number);
// "3" or "3:[n1,n2/n3]".
bool words_scan_log_entry(const char *word, raft_term *term, char text[CONFIGURATION_TEXT_MAX]);
bool words_scan_entry(const char *word, struct raft_entry_id *id, char text[WORDS_TEXT_MAX]);

#endif
