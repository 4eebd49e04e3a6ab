// Verifying a backup: backup_file.h.
#include "cmd/backup_file.h"

#include "node/image.h"
#include "wire/json.h"

// The first record tells how many there are of each kind; wal_image_next has compared their sum.
static enum error_code take_meta(struct wal_image_reader *reader, struct slice members, struct backup_contents *contents,
                                 struct error *error) {
    struct arena arena = {.limit = 0};
    struct pb_image_record record;
    enum error_code code = pb_json_read(&arena, &pb_image_record_type, members, &record, error);
    if (code == OK && record.record != PB_IMAGE_RECORD_RECORD_META) {
        code = error_set(error, ERR_SNAP_CORRUPT, "the first record is not the state's meta record");
    }
    if (code == OK) {
        contents->keys = record.meta.items;
        contents->workers = record.meta.workers;
        contents->sessions = record.meta.sessions;
    } else {
        code = wal_image_blame(reader, error);
    }
    arena_free(&arena);
    return code;
}

static enum error_code read_records(struct wal_image_reader *reader, struct backup_contents *contents, struct error *error) {
    struct slice members;
    enum error_code code = wal_image_next(reader, &members, &contents->digest, error);
    if (code == OK && members.data != NULL) {
        code = take_meta(reader, members, contents, error);
    }
    while (code == OK && members.data != NULL) {
        code = wal_image_next(reader, &members, &contents->digest, error);
    }
    return code;
}

static enum error_code load_all(const char *path, struct error *error) {
    struct image image;
    enum error_code code = image_load_file(path, &image, error);
    image_free(&image);
    return code;
}

enum error_code backup_file_read(const char *path, bool whole, struct backup_contents *contents, struct error *error) {
    struct wal_image_reader reader;
    struct wal_image_header header;
    *contents = (struct backup_contents){.index = 0};
    enum error_code code = wal_image_open_file(path, &reader, &header, error);
    if (code == OK) {
        contents->index = header.last.index;
        contents->term = header.last.term;
        contents->bytes = reader.file.size;
        code = wire_configuration_read(header.configuration, &contents->configuration, error);
        if (code != OK && code != ERR_UNKNOWN_COMMAND) {
            code = wal_image_blame(&reader, error);
        }
    }
    if (code == OK) {
        code = read_records(&reader, contents, error);
    }
    wal_image_close(&reader);
    return code == OK && whole ? load_all(path, error) : code;
}
