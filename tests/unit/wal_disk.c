// The disk in memory. Files and directories live in one table; a name is a path. A descriptor is the lowest free one, as of
// a process.
#include "wal_disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/limits.h"
#include "base/mem.h"

enum { SECTOR = 512, BLOCK = 4096, PATH_SIZE = 128, LITTLE = 256 };

struct disk_file {
    char path[PATH_SIZE];
    bool is_dir;
    bool exists;   // for processes
    bool durable;  // its name is
    struct buf seen;
    struct buf platter;
    bool *dirty;  // sectors of `seen` that the platter may not have
    size_t dirty_cap;
};

static uint64_t next_random(struct disk *disk) {
    uint64_t z = disk->seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static bool coin(struct disk *disk) {
    switch (disk->luck) {
    case DISK_COIN:
        return (next_random(disk) & 1) != 0;
    case DISK_LOSES_LITTLE:
        return next_random(disk) % LITTLE != 0;
    default:
        return disk->luck == DISK_KEEPS;
    }
}

// --- files ---

static struct disk_file *find(const struct disk *disk, const char *path) {
    for (size_t i = 0; i < disk->file_count; i++) {
        if (strcmp(disk->files[i].path, path) == 0) {
            return &disk->files[i];
        }
    }
    return NULL;
}

static struct disk_file *add(struct disk *disk, const char *path, bool is_dir) {
    struct disk_file *file = find(disk, path);
    if (file == NULL) {
        disk->files = mem_realloc(disk->files, (disk->file_count + 1) * sizeof *disk->files);
        file = &disk->files[disk->file_count++];
        *file = (struct disk_file){.is_dir = is_dir};
        snprintf(file->path, sizeof file->path, "%s", path);
    }
    return file;
}

struct disk_move {
    char from[PATH_SIZE];
    char to[PATH_SIZE];
};

// What a descriptor leads to.
struct disk_open {
    bool used;
    bool direct;  // past the page cache
    size_t file;
};

static struct disk_open *open_of(const struct disk *disk, int fd) {
    int at = fd - disk->first_fd;
    assert(at >= 0 && (size_t)at < disk->open_count && disk->opens[at].used);
    return &disk->opens[at];
}

static bool is_direct(const struct disk *disk, int fd) {
    return open_of(disk, fd)->direct;
}

static struct disk_file *file_of(const struct disk *disk, int fd) {
    return &disk->files[open_of(disk, fd)->file];
}

static int open_new(struct disk *disk, const struct disk_file *file, bool direct) {
    size_t at = 0;
    while (at < disk->open_count && disk->opens[at].used) {
        at++;
    }
    if (at == disk->open_count) {
        array_reserve(disk->opens, disk->open_cap, at + 1);
        disk->open_count++;
    }
    disk->opens[at] = (struct disk_open){.used = true, .direct = direct, .file = (size_t)(file - disk->files)};
    return disk->first_fd + (int)at;
}

size_t disk_open_files(const struct disk *disk) {
    size_t count = 0;
    for (size_t i = 0; i < disk->open_count; i++) {
        count += disk->opens[i].used;
    }
    return count;
}

static void resize(struct buf *buf, size_t size) {
    if (size > buf->len) {
        buf_reserve(buf, size - buf->len);
        memset(buf->data + buf->len, 0, size - buf->len);
    }
    buf->len = size;
}

static void mark_dirty(struct disk_file *file, size_t from, size_t to, bool dirty) {
    size_t needed = (to + SECTOR - 1) / SECTOR;
    if (needed > file->dirty_cap) {
        file->dirty = mem_realloc(file->dirty, needed * sizeof *file->dirty);
        memset(file->dirty + file->dirty_cap, 0, (needed - file->dirty_cap) * sizeof *file->dirty);
        file->dirty_cap = needed;
    }
    if (needed > from / SECTOR) {
        memset(file->dirty + from / SECTOR, dirty, (needed - from / SECTOR) * sizeof *file->dirty);
    }
}

static void sector_to_platter(struct disk_file *file, size_t s) {
    size_t from = s * SECTOR;
    size_t to = from + SECTOR < file->seen.len ? from + SECTOR : file->seen.len;
    if (from >= to) {
        return;
    }
    if (file->platter.len < to) {
        resize(&file->platter, to);
    }
    memcpy(file->platter.data + from, file->seen.data + from, to - from);
}

static void sync_range(struct disk_file *file, size_t from, size_t to) {
    for (size_t s = from / SECTOR; s * SECTOR < to; s++) {
        sector_to_platter(file, s);
    }
    mark_dirty(file, from, to, false);
}

// What was written since the last sync, and the size.
static void sync_dirty(struct disk_file *file) {
    if (file->platter.len > file->seen.len) {
        resize(&file->platter, file->seen.len);
    }
    for (size_t s = 0; s < file->dirty_cap; s++) {
        if (file->dirty[s]) {
            sector_to_platter(file, s);
        }
    }
    mark_dirty(file, 0, file->seen.len, false);
}

static void sync_all(struct disk_file *file) {
    buf_clear(&file->platter);
    buf_append_slice(&file->platter, buf_slice(&file->seen));
    mark_dirty(file, 0, file->seen.len, false);
}

// --- the calls ---

// Every call that changes something begins here. False: the machine is off, errno is set.
static bool begin(struct disk *disk) {
    if (disk->dead) {
        errno = EIO;
        return false;
    }
    disk->calls++;
    disk->dead = disk->calls == disk->crash_at;
    return true;
}

static void path_at(const struct disk *disk, char path[PATH_SIZE], int dir, const char *name) {
    if (dir == AT_FDCWD) {
        snprintf(path, PATH_SIZE, "%s", name);
    } else if (strcmp(name, ".") == 0) {
        snprintf(path, PATH_SIZE, "%s", file_of(disk, dir)->path);
    } else {
        snprintf(path, PATH_SIZE, "%.60s/%.60s", file_of(disk, dir)->path, name);
    }
}

static int open_at(struct disk *disk, int dir, const char *name, int flags, mode_t mode) {
    (void)mode;
    char path[PATH_SIZE];
    path_at(disk, path, dir, name);
    struct disk_file *file = find(disk, path);
    if (file == NULL || !file->exists) {
        if ((flags & O_CREAT) == 0) {
            errno = disk->dead ? EIO : ENOENT;
            return -1;
        }
        if (!begin(disk)) {
            return -1;
        }
        file = add(disk, path, false);
        file->exists = true;
        buf_clear(&file->seen);
        buf_clear(&file->platter);
    } else if ((flags & O_TRUNC) != 0) {
        if (!begin(disk)) {
            return -1;
        }
        buf_clear(&file->seen);
    }
    if (disk->dead) {
        errno = EIO;
        return -1;
    }
    bool direct = (flags & O_DIRECT) != 0;
    errno = EINVAL;
    return direct && disk->direct == DISK_NO_DIRECT ? -1 : open_new(disk, file, direct);
}

// Whether this call is the one that fails, with errno.
static bool is_due(struct disk *disk, uint64_t *fail_at, uint64_t *calls) {
    if (*fail_at == 0 || ++*calls != *fail_at) {
        return false;
    }
    *fail_at = 0;
    disk->failed_call = disk->calls;
    errno = disk->fail_errno;
    return true;
}

static int disk_open_at(void *self, int dir, const char *name, int flags, mode_t mode) {
    struct disk *disk = self;
    return is_due(disk, &disk->fail_open_at, &disk->opened) ? -1 : open_at(disk, dir, name, flags, mode);
}

static int disk_close(void *self, int fd) {
    struct disk *disk = self;
    size_t at = (size_t)(fd - disk->first_fd);
    if (at >= disk->open_count || !disk->opens[at].used) {  // a process that was killed is taken down in order, too
        errno = EBADF;
        return -1;
    }
    disk->opens[at].used = false;
    return 0;
}

static int disk_make_dir(void *self, int dir, const char *name, mode_t mode) {
    (void)mode;
    struct disk *disk = self;
    char path[PATH_SIZE];
    path_at(disk, path, dir, name);
    struct disk_file *file = find(disk, path);
    if (file != NULL && file->exists) {
        errno = EEXIST;
        return -1;
    }
    if (!begin(disk)) {
        return -1;
    }
    add(disk, path, true)->exists = true;
    return disk->dead ? -1 : 0;
}

// How many bytes this call may move, or -1 if it is interrupted.
static ssize_t transfer(struct disk *disk, size_t len) {
    disk->transfers++;
    if (disk->eintr != 0 && disk->transfers % disk->eintr == 0) {
        errno = EINTR;
        return -1;
    }
    if (disk->halve != 0 && disk->transfers % disk->halve == 0 && len > 1) {
        len /= 2;
    }
    return (ssize_t)(disk->short_max != 0 && len > disk->short_max ? disk->short_max : len);
}

static ssize_t disk_read_at(void *self, int fd, void *out, size_t len, off_t offset) {
    struct disk *disk = self;
    const struct disk_file *file = file_of(disk, fd);
    if (is_due(disk, &disk->fail_read_at, &disk->reads)) {
        return -1;
    }
    ssize_t allowed = transfer(disk, len);
    if (allowed < 0 || (size_t)offset >= file->seen.len) {
        return allowed < 0 ? -1 : 0;
    }
    size_t there = file->seen.len - (size_t)offset;
    size_t n = (size_t)allowed < there ? (size_t)allowed : there;
    memcpy(out, file->seen.data + offset, n);
    return (ssize_t)n;
}

uint64_t disk_used(const struct disk *disk) {
    uint64_t total = 0;
    for (size_t i = 0; i < disk->file_count; i++) {
        total += disk->files[i].exists ? disk->files[i].seen.len : 0;
    }
    return total;
}

static void store(struct disk_file *file, const struct iovec *parts, size_t len, size_t offset) {
    mark_dirty(file, offset < file->seen.len ? offset : file->seen.len, offset + len, true);
    if (file->seen.len < offset + len) {
        resize(&file->seen, offset + len);
    }
    for (size_t done = 0; done < len; parts++) {
        size_t n = parts->iov_len < len - done ? parts->iov_len : len - done;
        memcpy(file->seen.data + offset + done, parts->iov_base, n);
        done += n;
    }
}

// The bytes that a planned failure lets through first; -1 with errno when the failure itself is due.
static ssize_t plan_write(struct disk *disk, size_t len) {
    if (disk->fail_write_at == 0 || ++disk->writes != disk->fail_write_at) {
        return (ssize_t)len;
    }
    if (disk->fail_after > 0) {
        size_t n = disk->fail_after < len ? disk->fail_after : len;
        disk->fail_after = 0;
        disk->fail_write_at++;
        return (ssize_t)n;
    }
    disk->fail_write_at = 0;
    disk->failed_call = disk->calls;
    errno = disk->fail_errno;
    return -1;
}

static bool plan_sync(struct disk *disk) {
    return !is_due(disk, &disk->fail_sync_at, &disk->syncs);
}

// Past the page cache everything is in whole blocks.
static bool takes_direct(struct disk *disk, const struct iovec *parts, int count, off_t offset) {
    bool whole = offset % BLOCK == 0;
    for (int i = 0; i < count; i++) {
        whole = whole && (uintptr_t)parts[i].iov_base % BLOCK == 0 && parts[i].iov_len % BLOCK == 0;
    }
    disk->direct_writes++;
    errno = EINVAL;
    return whole && disk->direct == DISK_DIRECT;
}

static ssize_t in_blocks(ssize_t len) {
    return len < BLOCK ? BLOCK : len / BLOCK * BLOCK;
}

static ssize_t disk_write_at(void *self, int fd, const struct iovec *parts, int count, off_t offset, int flags) {
    struct disk *disk = self;
    struct disk_file *file = file_of(disk, fd);
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        len += parts[i].iov_len;
    }
    if (is_direct(disk, fd) && !takes_direct(disk, parts, count, offset)) {
        return -1;
    }
    ssize_t allowed = transfer(disk, len);
    if (allowed < 0 || !begin(disk)) {
        return -1;
    }
    allowed = plan_write(disk, (size_t)allowed);
    if (allowed < 0) {
        return -1;
    }
    allowed = is_direct(disk, fd) ? in_blocks(allowed) : allowed;
    size_t grows = (size_t)offset + (size_t)allowed > file->seen.len ? (size_t)offset + (size_t)allowed - file->seen.len : 0;
    uint64_t left = disk->space - disk_used(disk);
    if (grows > left) {
        allowed -= (ssize_t)(grows - left);
        if (allowed <= 0) {
            errno = ENOSPC;
            return -1;
        }
    }
    disk->moved += (uint64_t)allowed;
    store(file, parts, (size_t)allowed, (size_t)offset);
    if (disk->dead) {
        errno = EIO;
        return -1;
    }
    if ((flags & RWF_DSYNC) != 0) {
        if (!plan_sync(disk)) {
            mark_dirty(file, (size_t)offset, (size_t)offset + (size_t)allowed, false);
            return -1;
        }
        sync_range(file, (size_t)offset, (size_t)offset + (size_t)allowed);
    }
    return allowed;
}

static bool is_in(const char *path, const struct disk_file *dir) {
    size_t len = strlen(dir->path);
    const char *slash = strrchr(path, '/');
    bool root = strcmp(dir->path, ".") == 0;
    return root ? slash == NULL : slash == path + len && strncmp(path, dir->path, len) == 0;
}

static void sync_names(struct disk *disk, const struct disk_file *dir) {
    for (size_t i = 0; i < disk->file_count; i++) {
        struct disk_file *file = &disk->files[i];
        if (is_in(file->path, dir)) {
            file->durable = file->exists;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < disk->move_count; i++) {
        if (!is_in(disk->moves[i].to, dir)) {
            disk->moves[kept++] = disk->moves[i];
        }
    }
    disk->move_count = kept;
}

static int disk_sync(void *self, int fd) {
    struct disk *disk = self;
    struct disk_file *file = file_of(disk, fd);
    if (!begin(disk)) {
        return -1;
    }
    if (disk->dead || !plan_sync(disk)) {
        if (!disk->dead) {
            mark_dirty(file, 0, file->seen.len, false);
        }
        errno = disk->dead ? EIO : errno;
        return -1;
    }
    if (file->is_dir) {
        sync_names(disk, file);
    } else {
        sync_dirty(file);
    }
    return 0;
}

static int disk_truncate(void *self, int fd, off_t size) {
    struct disk *disk = self;
    struct disk_file *file = file_of(disk, fd);
    if (!begin(disk)) {
        return -1;
    }
    resize(&file->seen, (size_t)size);
    return disk->dead ? -1 : 0;
}

static int disk_unlink_at(void *self, int dir, const char *name) {
    struct disk *disk = self;
    char path[PATH_SIZE];
    path_at(disk, path, dir, name);
    if (!begin(disk)) {
        return -1;
    }
    struct disk_file *file = find(disk, path);
    if (file == NULL || !file->exists) {
        errno = ENOENT;
        return -1;
    }
    file->exists = false;
    return disk->dead ? -1 : 0;
}

// What comes behind the path of a directory in that of what is in it, or is it; NULL: it is elsewhere.
static const char *below(const char *dir, const char *path) {
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0') ? path + len : NULL;
}

// All that is in it moves with it. What had that name is gone.
static void move_directory(struct disk *disk, const char *from, const char *to) {
    for (size_t i = 0; i < disk->file_count; i++) {
        struct disk_file *file = &disk->files[i];
        const char *rest = below(from, file->path);
        char path[PATH_SIZE];
        if (below(to, file->path) != NULL) {
            file->path[0] = '\0';  // an earlier one of that name, which is gone
        } else if (rest != NULL) {
            snprintf(path, sizeof path, "%.60s%.60s", to, rest);
            memcpy(file->path, path, sizeof path);
        }
    }
}

// Only names move: after a crash without a sync of the directory either may be there, both, or none.
static int disk_rename_at(void *self, int dir, const char *from, const char *to) {
    struct disk *disk = self;
    char path[PATH_SIZE];
    char target[PATH_SIZE];
    path_at(disk, path, dir, from);
    path_at(disk, target, dir, to);
    if (!begin(disk)) {
        return -1;
    }
    struct disk_file *old = find(disk, path);
    if (old == NULL || !old->exists) {
        errno = ENOENT;
        return -1;
    }
    if (old->is_dir) {
        move_directory(disk, path, target);
        array_reserve(disk->moves, disk->move_cap, disk->move_count + 1);
        struct disk_move *move = &disk->moves[disk->move_count++];
        memcpy(move->from, path, sizeof path);
        memcpy(move->to, target, sizeof target);
        return disk->dead ? -1 : 0;
    }
    size_t at = (size_t)(old - disk->files);
    struct disk_file *new = add(disk, target, false);
    old = &disk->files[at];
    buf_clear(&new->seen);
    buf_append_slice(&new->seen, buf_slice(&old->seen));
    buf_clear(&new->platter);
    buf_append_slice(&new->platter, buf_slice(&old->platter));
    mark_dirty(new, 0, new->seen.len, false);
    for (size_t s = 0; s < old->dirty_cap && s * SECTOR < old->seen.len; s++) {
        new->dirty[s] = old->dirty[s];
    }
    new->exists = true;
    old->exists = false;
    return disk->dead ? -1 : 0;
}

static uint64_t disk_free_bytes(void *self, int fd) {
    (void)fd;
    const struct disk *disk = self;
    return disk->space == UINT64_MAX ? UINT64_MAX : disk->space - disk_used(disk);
}

static int disk_stat(void *self, int fd, struct stat *out) {
    const struct disk_file *file = file_of(self, fd);
    *out = (struct stat){.st_mode = file->is_dir ? S_IFDIR : S_IFREG, .st_size = (off_t)file->seen.len};
    return 0;
}

static int disk_lock(void *self, int fd) {
    (void)self;
    (void)fd;
    return 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static ssize_t disk_list(void *self, int fd, char **names) {
    struct disk *disk = self;
    const char *dir = file_of(disk, fd)->path;
    const char **found = mem_alloc((disk->file_count + 1) * sizeof *found);
    size_t count = 0;
    for (size_t i = 0; i < disk->file_count; i++) {
        const struct disk_file *file = &disk->files[i];
        const char *slash = strrchr(file->path, '/');
        if (file->exists && slash == file->path + strlen(dir) && strncmp(file->path, dir, strlen(dir)) == 0) {
            found[count++] = slash + 1;
        }
    }
    qsort(found, count, sizeof *found, by_name);
    struct buf all = {0};
    buf_reserve(&all, 1);
    for (size_t i = 0; i < count; i++) {
        buf_append(&all, found[i], strlen(found[i]) + 1);
    }
    free(found);
    *names = (char *)all.data;
    return (ssize_t)count;
}

static void disk_read_ahead(void *self, int fd) {
    (void)file_of(self, fd);  // it is open
}

static uint64_t disk_now_us(void *self) {
    return ((struct disk *)self)->now_us;
}

// --- the test's side ---

void disk_init(struct disk *disk, uint64_t seed) {
    *disk = (struct disk){.seed = seed, .first_fd = DISK_FIRST_FD, .space = UINT64_MAX, .now_us = 1};
    disk->io = (struct wal_io){.self = disk,
                               .open_at = disk_open_at,
                               .close = disk_close,
                               .make_dir = disk_make_dir,
                               .read_at = disk_read_at,
                               .read_ahead = disk_read_ahead,
                               .write_at = disk_write_at,
                               .sync = disk_sync,
                               .truncate = disk_truncate,
                               .unlink_at = disk_unlink_at,
                               .rename_at = disk_rename_at,
                               .free_bytes = disk_free_bytes,
                               .stat = disk_stat,
                               .lock = disk_lock,
                               .list = disk_list,
                               .now_us = disk_now_us};
    struct disk_file *root = add(disk, ".", true);
    root->exists = true;
    root->durable = true;
}

static void free_files(struct disk *disk) {
    for (size_t i = 0; i < disk->file_count; i++) {
        buf_free(&disk->files[i].seen);
        buf_free(&disk->files[i].platter);
        free(disk->files[i].dirty);
    }
    free(disk->files);
    free(disk->moves);
    disk->files = NULL;
    disk->moves = NULL;
    disk->file_count = disk->move_count = disk->move_cap = 0;
}

void disk_free(struct disk *disk) {
    free_files(disk);
    free(disk->opens);
    disk->opens = NULL;
    disk->open_count = disk->open_cap = 0;
}

void disk_kill(struct disk *disk) {
    disk->open_count = 0;
    disk->dead = false;
    disk->crash_at = 0;
}

static void crash_file(struct disk *disk, struct disk_file *file) {
    size_t sectors = (file->seen.len + SECTOR - 1) / SECTOR;
    if (file->seen.len < file->platter.len && coin(disk)) {
        resize(&file->platter, file->seen.len);
    }
    for (size_t s = 0; s < sectors && s < file->dirty_cap; s++) {
        if (file->dirty[s] && coin(disk)) {
            sector_to_platter(file, s);
        }
    }
    buf_clear(&file->seen);
    buf_append_slice(&file->seen, buf_slice(&file->platter));
    if (file->dirty_cap > 0) {
        memset(file->dirty, 0, file->dirty_cap * sizeof *file->dirty);
    }
}

// All directories above it are there.
static bool is_reachable(const struct disk *disk, const struct disk_file *file) {
    char above[PATH_SIZE];
    snprintf(above, sizeof above, "%s", file->path);
    for (char *slash; (slash = strrchr(above, '/')) != NULL;) {
        *slash = '\0';
        const struct disk_file *dir = find(disk, above);
        if (dir != NULL && !dir->exists) {
            return false;
        }
    }
    return true;
}

static void lose_moves(struct disk *disk) {
    for (size_t i = disk->move_count; i-- > 0;) {
        const struct disk_move *move = &disk->moves[i];
        const struct disk_file *there = find(disk, move->from);
        if (!coin(disk)) {
            move_directory(disk, move->to, there != NULL && there->exists ? "lost" : move->from);
        }
    }
    disk->move_count = 0;
}

void disk_crash(struct disk *disk) {
    lose_moves(disk);
    for (size_t i = 0; i < disk->file_count; i++) {
        struct disk_file *file = &disk->files[i];
        if (file->exists != file->durable) {
            file->exists = coin(disk) == (disk->luck == DISK_COIN || file->exists);
            file->durable = file->exists;
        }
        crash_file(disk, file);
    }
    for (size_t i = 0; i < disk->file_count; i++) {
        struct disk_file *file = &disk->files[i];
        file->exists = file->durable = file->exists && is_reachable(disk, file);
    }
    disk_kill(disk);
}

struct slice disk_bytes(const struct disk *disk, const char *path) {
    const struct disk_file *file = find(disk, path);
    return file != NULL && file->exists ? slice_of(file->seen.data, file->seen.len) : slice_of(NULL, 0);
}

void disk_put(struct disk *disk, const char *path, struct slice bytes) {
    struct disk_file *file = add(disk, path, false);
    file->exists = true;
    file->durable = true;
    buf_clear(&file->seen);
    buf_append_slice(&file->seen, bytes);
    sync_all(file);
}

void disk_remove(struct disk *disk, const char *path) {
    struct disk_file *file = find(disk, path);
    assert(file != NULL);
    file->exists = false;
    file->durable = false;
}

bool disk_flip(struct disk *disk, uint64_t draw) {
    uint64_t bits = 0;
    for (size_t i = 0; i < disk->file_count; i++) {
        bits += disk->files[i].exists ? disk->files[i].seen.len * 8 : 0;
    }
    draw = bits == 0 ? 0 : draw % bits;
    for (size_t i = 0; i < disk->file_count && bits > 0; i++) {
        struct disk_file *file = &disk->files[i];
        uint64_t here = file->exists ? file->seen.len * 8 : 0;
        if (draw < here) {
            file->seen.data[draw / 8] ^= (uint8_t)(1U << draw % 8);
            sync_all(file);
            return true;
        }
        draw -= here;
    }
    return false;
}

bool disk_equal(const struct disk *a, const struct disk *b) {
    for (size_t i = 0; i < a->file_count; i++) {
        const struct disk_file *file = &a->files[i];
        const struct disk_file *other = find(b, file->path);
        if (file->exists != (other != NULL && other->exists) ||
            (file->exists && !slice_equal(buf_slice(&file->seen), buf_slice(&other->seen)))) {
            return false;
        }
    }
    return true;
}

// Nor has any process one of them open. They keep their memory: tests copy one disk some ten thousand times.
static void forget_names(struct disk *disk) {
    disk->open_count = disk->move_count = 0;
    for (size_t i = 0; i < disk->file_count; i++) {
        disk->files[i].exists = false;
        disk->files[i].durable = false;
    }
}

void disk_clone(struct disk *to, const struct disk *from) {
    forget_names(to);
    array_reserve(to->moves, to->move_cap, from->move_count);
    for (; to->move_count < from->move_count; to->move_count++) {
        to->moves[to->move_count] = from->moves[to->move_count];
    }
    for (size_t i = 0; i < from->file_count; i++) {
        const struct disk_file *file = &from->files[i];
        if (!file->exists && !file->durable) {
            continue;
        }
        struct disk_file *copy = add(to, file->path, file->is_dir);
        copy->exists = file->exists;
        copy->durable = file->durable;
        buf_clear(&copy->seen);
        buf_append_slice(&copy->seen, buf_slice(&file->seen));
        buf_clear(&copy->platter);
        buf_append_slice(&copy->platter, buf_slice(&file->platter));
        mark_dirty(copy, 0, copy->dirty_cap * SECTOR, false);
        for (size_t s = 0; s < file->dirty_cap; s++) {
            if (file->dirty[s]) {
                mark_dirty(copy, s * SECTOR, (s + 1) * SECTOR, true);
            }
        }
    }
}

void disk_copy(struct disk *to, const struct disk *from) {
    forget_names(to);
    for (size_t i = 0; i < from->file_count; i++) {
        const struct disk_file *file = &from->files[i];
        if (file->is_dir) {
            struct disk_file *dir = add(to, file->path, true);
            dir->exists = file->exists;
            dir->durable = file->exists;
        } else if (file->exists) {
            disk_put(to, file->path, buf_slice(&file->seen));
        }
    }
}
