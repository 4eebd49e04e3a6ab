// Reading a command word by word; see words.h.
#include "words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool words_more(const struct words *words) {
    return words->at < words->count && !cluster_failed(words->cluster);
}

const char *words_next(struct words *words, const char *expected) {
    if (words->at == words->count) {
        cluster_fail(words->cluster, "%s is missing", expected);
        return "";
    }
    return words->words[words->at++];
}

// Whether the next word is this one, which is then taken.
bool words_take(struct words *words, const char *word) {
    bool found = words_more(words) && strcmp(words->words[words->at], word) == 0;
    words->at += found;
    return found;
}

void words_unexpected(struct words *words) {
    cluster_fail(words->cluster, "'%s' is not expected here", words_next(words, "a word"));
}

// "PREFIX17" whole; false if it is not of this form.
bool words_scan_number(const char *word, const char *prefix, uint64_t *number) {
    size_t len = strlen(prefix);
    if (strncmp(word, prefix, len) != 0 || word[len] < '0' || word[len] > '9') {
        return false;
    }
    char *end;
    *number = strtoull(word + len, &end, 10);
    return *end == '\0';
}

uint64_t words_number(struct words *words, const char *prefix, const char *expected) {
    const char *word = words_next(words, expected);
    uint64_t number = 0;
    if (!words_scan_number(word, prefix, &number)) {
        cluster_fail(words->cluster, "%s expected instead of '%s'", expected, word);
    }
    return number;
}

uint64_t words_duration(struct words *words) {
    const char *word = words_next(words, "a duration");
    char *end;
    uint64_t value = strtoull(word, &end, 10);
    if (end == word || (strcmp(end, "ms") != 0 && strcmp(end, "us") != 0)) {
        cluster_fail(words->cluster, "a duration such as 150ms or 20us expected instead of '%s'", word);
        return 0;
    }
    return strcmp(end, "ms") == 0 ? value * US_PER_MS : value;
}

// "5(t4)" or "5(t4:TEXT)".
bool words_scan_entry(const char *word, struct raft_entry_id *id, char text[64]) {
    int end = 0;
    text[0] = '\0';
    if (sscanf(word, "%" SCNu64 "(t%" SCNu64 ")%n", &id->index, &id->term, &end) == 2 && end > 0) {
        return word[end] == '\0';
    }
    end = 0;
    return sscanf(word, "%" SCNu64 "(t%" SCNu64 ":%63[^)])%n", &id->index, &id->term, text, &end) == 3 && end > 0 &&
           word[end] == '\0';
}

bool words_scan_log_entry(const char *word, raft_term *term, char text[CONFIGURATION_TEXT_MAX]) {
    int end = 0;
    text[0] = '\0';
    if (words_scan_number(word, "", term)) {
        return true;
    }
    return sscanf(word, "%" SCNu64 ":%127[^ ]%n", term, text, &end) == 2 && word[end] == '\0' && text[0] == '[';
}

struct raft_entry_id words_entry_id(struct words *words) {
    struct raft_entry_id id = {0};
    char text[64];
    const char *word = words_next(words, "an entry such as 5(t4)");
    if (!words_scan_entry(word, &id, text) || text[0] != '\0') {
        cluster_fail(words->cluster, "an entry such as 5(t4) expected instead of '%s'", word);
    }
    return id;
}

static struct server *server_of(struct words *words, const char *word) {
    uint64_t number;
    if (!words_scan_number(word, "n", &number) || number < 1 || number > words->cluster->count) {
        cluster_fail(words->cluster, "'%s' is no member", word);
        return NULL;
    }
    return &words->cluster->servers[number - 1];
}

struct server *words_server(struct words *words) {
    return server_of(words, words_next(words, "a member"));
}

// The rest of the command; all cores if it is empty.
void words_servers(struct words *words, bool chosen[MEMBERS_MAX]) {
    bool all = !words_more(words) || words_take(words, "all");
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        chosen[i] = all && i < words->cluster->count;
    }
    while (words_more(words)) {
        struct server *server = words_server(words);
        if (server != NULL) {
            chosen[server - words->cluster->servers] = true;
        }
    }
}

// Ignores a comma or colon after a word, so that lines of trace can be copied.
void words_split(struct words *words, char *text) {
    for (char *save, *word = strtok_r(text, " \t", &save); word != NULL; word = strtok_r(NULL, " \t", &save)) {
        size_t len = strlen(word);
        if (len > 1 && (word[len - 1] == ',' || word[len - 1] == ':')) {
            word[len - 1] = '\0';
        }
        if (words->count == WORDS_MAX) {
            cluster_fail(words->cluster, "a command has at most %d words", WORDS_MAX);
            return;
        }
        words->words[words->count++] = word;
    }
}
