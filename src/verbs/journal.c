// Journal: why things happened, as this node has seen them.
#include "base/journal.h"

#include "base/rfc3339.h"
#include "verbs/verbs.h"

static void convert(struct arena *arena, const struct journal_record *record, struct pb_journal_record *out) {
    struct slice_pair *fields = arena_alloc(arena, JOURNAL_FIELDS_MAX * sizeof *fields);
    size_t count = 0;
    for (; fields != NULL && count < record->field_count; count++) {
        const struct journal_field *field = &record->fields[count];
        fields[count] =
            (struct slice_pair){.key = slice_of_str(field->key), .value = slice_of(record->values + field->at, field->len)};
    }
    *out = (struct pb_journal_record){
        .number = record->number,
        .first_unix_ms = record->first_ms,
        .last_unix_ms = record->last_ms,
        .count = record->count,
        .term = record->term,
        .event = slice_of_str(record->event),
        .message = slice_of_str(record->message),
        .fields = fields,
        .fields_count = count,
    };
}

static void answer(struct node *node, struct rpc_call call, const void *message, raft_index index) {
    (void)message;  // has no fields
    (void)index;
    const struct journal *journal = node_journal(node);
    struct arena *arena = node_scratch(node);
    size_t count = journal_count(journal);
    const struct journal_record **records = arena_alloc(arena, count * sizeof(struct journal_record *));
    struct pb_journal_record *out = arena_alloc(arena, count * sizeof *out);
    if (records == NULL || out == NULL) {
        node_tell(node, call, OUTCOME_LIST_TOO_LONG, NULL);
        return;
    }
    journal_list(journal, records);
    for (size_t i = 0; i < count; i++) {
        convert(arena, records[i], &out[i]);
    }
    struct pb_journal_response response = {
        .node = raft_id_slice(node_id(node)),
        .now_unix_ms = unix_ms_now(),
        .records = out,
        .records_count = count,
    };
    node_reply(node, call, verb_journal.method, &response);
}

const struct verb verb_journal = {.method = &pb_control_service_journal, .answer = answer, .in_quarantine = true};
