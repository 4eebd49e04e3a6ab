// One function, `walk`, visits all descriptors, driven by a table of the fields that matter in each kind: its name and the
// descriptors nested in it. A name is qualified by its scope; enum values are siblings of their enum, as in C.
#include "rpc/descriptors.h"

#include <assert.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

struct symbol {
    size_t name_at;  // in `names`
    size_t name_len;
    int file;
    bool message;
};

struct file {
    struct slice bytes;
    struct slice name;
};

struct descriptors {
    struct file *files;
    size_t file_count;
    size_t file_cap;
    struct symbol *symbols;  // sorted by name, once built
    size_t symbol_count;
    size_t symbol_cap;
    struct buf names;
};

// --- the part of protobuf that descriptors need ---

struct field {
    uint32_t number;
    struct slice bytes;  // of a length-delimited field; others have data NULL
};

static bool read_varint(struct slice *rest, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        uint8_t byte = *rest->data++;
        rest->len--;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

static bool skip(struct slice *rest, uint64_t len) {
    if (len > rest->len) {
        return false;
    }
    rest->data += len;
    rest->len -= (size_t)len;
    return true;
}

// The next field of `rest`. False: malformed.
static bool read_field(struct slice *rest, struct field *field) {
    uint64_t tag, value;
    if (!read_varint(rest, &tag) || tag > UINT32_MAX || tag >> 3 == 0) {
        return false;
    }
    *field = (struct field){.number = (uint32_t)(tag >> 3)};
    switch (tag & 7) {
    case 0:
        return read_varint(rest, &value);
    case 1:
        return skip(rest, 8);
    case 2:
        if (!read_varint(rest, &value)) {
            return false;
        }
        field->bytes = slice_of(rest->data, (size_t)value);
        return skip(rest, value);
    case 5:
        return skip(rest, 4);
    default:
        return false;
    }
}

// --- names ---

enum kind { FILE_DESCRIPTOR, MESSAGE, ENUM, SERVICE, LEAF, KINDS };

enum { INNER_MAX = 4 };

// FileDescriptorProto, DescriptorProto, EnumDescriptorProto, ServiceDescriptorProto; other kinds have only a name.
static const struct shape {
    uint32_t name;  // the field that holds it; a file is named by its package
    struct {
        uint32_t number;
        enum kind kind;
    } inner[INNER_MAX];
} shapes[KINDS] = {
    [FILE_DESCRIPTOR] = {.name = 2, .inner = {{4, MESSAGE}, {5, ENUM}, {6, SERVICE}, {7, LEAF}}},
    [MESSAGE] = {.name = 1, .inner = {{2, LEAF}, {3, MESSAGE}, {4, ENUM}, {8, LEAF}}},
    [ENUM] = {.name = 1, .inner = {{2, LEAF}}},
    [SERVICE] = {.name = 1, .inner = {{2, LEAF}}},
    [LEAF] = {.name = 1},
};

// Messages within messages; protoc itself allows fewer than 32.
enum { NESTING_MAX = 64 };

struct scope {
    size_t at;  // the enclosing name in descriptors.names; empty at the top level
    size_t len;
};

static struct scope qualify(struct descriptors *d, struct scope outer, struct slice name) {
    struct scope scope = {.at = d->names.len, .len = outer.len + (outer.len > 0) + name.len};
    uint8_t *to = buf_reserve(&d->names, scope.len);
    if (outer.len > 0) {
        memcpy(to, d->names.data + outer.at, outer.len);
        to[outer.len] = '.';
        to += outer.len + 1;
    }
    memcpy(to, name.data, name.len);
    d->names.len += scope.len;
    return scope;
}

static void add_symbol(struct descriptors *d, struct scope name, enum kind kind) {
    array_reserve(d->symbols, d->symbol_cap, d->symbol_count + 1);
    d->symbols[d->symbol_count++] = (struct symbol){
        .name_at = name.at,
        .name_len = name.len,
        .file = (int)d->file_count,
        .message = kind == MESSAGE,
    };
}

// The last field of that number (the last one counts); an empty slice if there is none. False: malformed.
static bool find_field(struct slice bytes, uint32_t number, struct slice *found) {
    *found = slice_of("", 0);
    while (bytes.len > 0) {
        struct field field;
        if (!read_field(&bytes, &field)) {
            return false;
        }
        if (field.number == number && field.bytes.data != NULL) {
            *found = field.bytes;
        }
    }
    return true;
}

static bool walk(struct descriptors *d, enum kind kind, struct slice bytes, struct scope outer, int depth) {
    const struct shape *shape = &shapes[kind];
    struct slice name;
    if (depth > NESTING_MAX || !find_field(bytes, shape->name, &name)) {
        return false;
    }
    struct scope own = {0};  // of a file without a package
    if (name.len > 0) {
        own = qualify(d, outer, name);
        if (kind != FILE_DESCRIPTOR) {
            add_symbol(d, own, kind);
        }
    } else if (kind != FILE_DESCRIPTOR) {
        return false;
    }
    while (bytes.len > 0) {
        struct field field;
        if (!read_field(&bytes, &field)) {
            return false;
        }
        for (size_t i = 0; i < INNER_MAX && field.bytes.data != NULL; i++) {
            if (shape->inner[i].number == field.number &&
                !walk(d, shape->inner[i].kind, field.bytes, kind == ENUM ? outer : own, depth + 1)) {
                return false;
            }
        }
    }
    return true;
}

// --- the index ---

static struct slice symbol_name(const struct descriptors *d, const struct symbol *symbol) {
    return slice_of(d->names.data + symbol->name_at, symbol->name_len);
}

static int compare_symbols(const void *a, const void *b, void *d) {
    return slice_compare(symbol_name(d, a), symbol_name(d, b));
}

static bool add_files(struct descriptors *d, struct slice set) {
    while (set.len > 0) {
        struct field field;
        if (!read_field(&set, &field)) {
            return false;
        }
        if (field.number != 1 || field.bytes.data == NULL) {
            continue;
        }
        struct file file = {.bytes = field.bytes};
        if (!find_field(file.bytes, 1, &file.name) || !walk(d, FILE_DESCRIPTOR, file.bytes, (struct scope){0}, 0)) {
            return false;
        }
        array_reserve(d->files, d->file_cap, d->file_count + 1);
        d->files[d->file_count++] = file;
    }
    return true;
}

enum { FILE_DEPENDENCY = 3 };  // FileDescriptorProto.dependency

static bool imports_present(const struct descriptors *d) {
    for (size_t i = 0; i < d->file_count; i++) {
        struct slice rest = d->files[i].bytes;
        struct field field;
        while (rest.len > 0 && read_field(&rest, &field)) {
            if (field.number == FILE_DEPENDENCY && descriptors_file_by_name(d, field.bytes) < 0) {
                return false;
            }
        }
    }
    return true;
}

struct descriptors *descriptors_new(struct slice set) {
    struct descriptors *d = mem_zalloc(sizeof *d);
    if (!add_files(d, set) || !imports_present(d)) {
        descriptors_free(d);
        return NULL;
    }
    if (d->symbol_count > 0) {
        qsort_r(d->symbols, d->symbol_count, sizeof *d->symbols, compare_symbols, d);
    }
    return d;
}

void descriptors_free(struct descriptors *d) {
    if (d == NULL) {
        return;
    }
    free(d->files);
    free(d->symbols);
    buf_free(&d->names);
    free(d);
}

size_t descriptors_file_count(const struct descriptors *d) {
    return d->file_count;
}

int descriptors_file_by_name(const struct descriptors *d, struct slice name) {
    for (size_t i = 0; i < d->file_count; i++) {
        if (slice_equal(d->files[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

static const struct symbol *find_symbol(const struct descriptors *d, struct slice name) {
    size_t low = 0, high = d->symbol_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(name, symbol_name(d, &d->symbols[middle]));
        if (order == 0) {
            return &d->symbols[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

int descriptors_file_by_symbol(const struct descriptors *d, struct slice symbol) {
    const struct symbol *found = find_symbol(d, symbol);
    return found == NULL ? -1 : found->file;
}

bool descriptors_is_message(const struct descriptors *d, struct slice symbol) {
    const struct symbol *found = find_symbol(d, symbol);
    return found != NULL && found->message;
}

// Breadth first; `files` is both the queue and the result.
size_t descriptors_closure(const struct descriptors *d, int file, struct slice *files) {
    assert(file >= 0 && (size_t)file < d->file_count);
    files[0] = d->files[file].bytes;
    size_t count = 1;
    for (size_t next = 0; next < count; next++) {
        struct slice rest = files[next];
        struct field field;
        while (rest.len > 0 && read_field(&rest, &field)) {
            if (field.number != FILE_DEPENDENCY) {
                continue;
            }
            struct slice imported = d->files[descriptors_file_by_name(d, field.bytes)].bytes;
            size_t i = 0;
            while (i < count && files[i].data != imported.data) {
                i++;
            }
            if (i == count) {
                assert(count < d->file_count);
                files[count++] = imported;
            }
        }
    }
    return count;
}
