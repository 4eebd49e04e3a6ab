// debug: one tar file with what is known of all nodes, for who is to find out what was wrong.
//
//   baton-debug/nodes.txt          who was asked, and who has not answered, and why
//   baton-debug/status.json        as batonctl status -o json
//   baton-debug/explain.txt        as batonctl explain
//   baton-debug/journal.json       as the causes of batonctl explain all -o json
//   baton-debug/NODE/metrics.txt   as GET /metrics
//   baton-debug/NODE/settings.txt  its flags
//   baton-debug/NODE/log.txt       the last lines of its log
//
// The format is POSIX's ustar (pax, "ustar Interchange Format"): a header of 512 bytes before each file, which is padded to
// as much, and two empty headers at the end. No library writes it here: those that do bring compressors that batonctl does
// not need.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/rfc3339.h"
#include "base/write.h"
#include "ctl/explain.h"
#include "ctl/nodes.h"
#include "wire/codec.h"

enum { FILE_MODE = 0600 };

// Where the members of a header are, and its size.
enum {
    NAME = 0,
    MODE = 100,
    UID = 108,
    GID = 116,
    SIZE = 124,
    MTIME = 136,
    CHECKSUM = 148,
    TYPE = 156,
    MAGIC = 257,
    TAR_BLOCK = 512
};
enum { CHECKSUM_LEN = 8 };

// --- tar ---

static void append_zeros(struct buf *out, size_t count) {
    memset(buf_reserve(out, count), 0, count);
    out->len += count;
}

// `directory`, if not empty, is a node's id: at most ID_MAX bytes that a path may have.
static void add_file(struct buf *tar, struct slice directory, const char *name, struct slice contents) {
    char header[TAR_BLOCK] = {0};
    snprintf(header + NAME, MODE - NAME, "baton-debug/%.*s%s%s", (int)directory.len, (const char *)directory.data,
             directory.len > 0 ? "/" : "", name);
    snprintf(header + MODE, UID - MODE, "%07o", FILE_MODE);
    snprintf(header + UID, GID - UID, "%07o", 0);
    snprintf(header + GID, SIZE - GID, "%07o", 0);
    snprintf(header + SIZE, MTIME - SIZE, "%011" PRIo64, (uint64_t)contents.len);
    snprintf(header + MTIME, CHECKSUM - MTIME, "%011" PRIo64, (uint64_t)(unix_ms_now() / 1000));
    header[TYPE] = '0';
    memcpy(header + MAGIC,
           "ustar\0"
           "00",
           8);
    memset(header + CHECKSUM, ' ', CHECKSUM_LEN);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof header; i++) {
        sum += (unsigned char)header[i];
    }
    snprintf(header + CHECKSUM, CHECKSUM_LEN - 1, "%06o", sum);  // and a blank behind its NUL
    buf_append(tar, header, sizeof header);
    buf_append_slice(tar, contents);
    append_zeros(tar, (TAR_BLOCK - contents.len % TAR_BLOCK) % TAR_BLOCK);
}

// --- contents ---

static void add_status(struct buf *tar, const struct node_status *nodes, size_t count) {
    struct buf text = {0};
    struct json json = {.out = &text};
    json_begin(&json, '[');
    for (size_t i = 0; i < count; i++) {
        nodes_status_json(&json, &nodes[i]);
    }
    json_end(&json, ']');
    buf_append_str(&text, "\n");
    add_file(tar, slice_of(NULL, 0), "status.json", buf_slice(&text));
    buf_free(&text);
}

static void add_journal(struct buf *tar, struct causes *causes) {
    struct buf text = {0};
    struct json json = {.out = &text};
    explain_latest(causes, &text);
    add_file(tar, slice_of(NULL, 0), "explain.txt", buf_slice(&text));
    buf_clear(&text);
    journal_show_all(causes);
    json_begin(&json, '[');
    journal_json(&json, causes);
    json_end(&json, ']');
    buf_append_str(&text, "\n");
    add_file(tar, slice_of(NULL, 0), "journal.json", buf_slice(&text));
    buf_free(&text);
}

// Appends to `list` what has become of the node. False: there is no report of it.
static bool add_report(struct ctl *ctl, struct buf *tar, const struct ctl_probe *probe, struct buf *list) {
    struct pb_report_response report;
    if (!probe->answered) {
        const char *why = (const char *)(probe->message.len > 1 ? probe->message.data : probe->why.data);
        buf_printf(list, "%s: no report: %s\n", probe->address, why);
        return false;
    }
    if (pb_decode(&ctl->arena, &pb_report_response_type, buf_slice(&probe->answer), &report, &ctl->error) != OK ||
        id_check(report.node, "node", NULL) != OK) {
        buf_printf(list, "%s: its answer is not a report\n", probe->address);
        return false;
    }
    add_file(tar, report.node, "metrics.txt", report.metrics);
    add_file(tar, report.node, "settings.txt", report.settings);
    add_file(tar, report.node, "log.txt", report.log);
    buf_printf(list, "%s: %.*s, version %.*s\n", probe->address, (int)report.node.len, (const char *)report.node.data,
               (int)report.version.len, (const char *)report.version.data);
    return true;
}

// Asks all nodes for their reports. Returns how many gave one.
static size_t add_reports(struct ctl *ctl, struct buf *tar, const struct node_status *nodes, size_t count) {
    struct ctl_probe asked[NODES_MAX];
    struct buf list = {0};
    size_t asked_count = 0, reports = 0;
    char time[RFC3339_SIZE];
    rfc3339_format(time, unix_ms_now());
    buf_printf(&list, "gathered at %s by batonctl %s\n", time, BATON_VERSION);
    for (size_t i = 0; i < count; i++) {
        if (!nodes[i].reachable) {
            buf_printf(&list, "%s: %.*s\n", nodes[i].probe->address, (int)nodes[i].why.len, (const char *)nodes[i].why.data);
            continue;
        }
        asked[asked_count] = (struct ctl_probe){.answered = false};
        memcpy(asked[asked_count++].address, nodes[i].probe->address, sizeof asked[0].address);
    }
    ctl_ask_all(ctl->client, pb_control_service_report.path, asked, asked_count, ctl->options->timeout_ms);
    for (size_t i = 0; i < asked_count; i++) {
        reports += add_report(ctl, tar, &asked[i], &list);
    }
    add_file(tar, slice_of(NULL, 0), "nodes.txt", buf_slice(&list));
    ctl_probes_free(asked, asked_count);
    buf_append_slice(&ctl->out, buf_slice(&list));
    buf_free(&list);
    return reports;
}

// --- the file ---

static enum ctl_exit failed(struct ctl *ctl, const char *doing, const char *path) {
    int reason = errno;
    if (reason == EEXIST) {
        error_set(&ctl->error, ERR_INVALID, "%s exists; give another name, or --force to replace it", path);
    } else {
        error_set(&ctl->error, error_of_errno(reason), "%s %s: %s", doing, path, strerror(reason));
    }
    return CTL_FAILED;
}

static enum ctl_exit write_file(struct ctl *ctl, const char *path, struct slice bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (ctl->options->force ? O_TRUNC : O_EXCL), FILE_MODE);
    if (fd < 0) {
        return failed(ctl, "creating", path);
    }
    if (!write_whole(fd, bytes)) {
        enum ctl_exit status = failed(ctl, "writing", path);
        close(fd);
        return status;
    }
    return close(fd) == 0 ? CTL_OK : failed(ctl, "writing", path);
}

enum ctl_exit ctl_debug(struct ctl *ctl) {
    const char *path = ctl->options->arguments[0];
    struct causes causes;
    struct ctl_probe probes[NODES_MAX];
    struct node_status nodes[NODES_MAX];
    struct buf tar = {0};
    if (!ctl->options->force && access(path, F_OK) == 0) {
        errno = EEXIST;
        return failed(ctl, "creating", path);
    }
    size_t count = nodes_ask(ctl, probes, nodes);
    size_t reports = 0;
    enum ctl_exit status = journal_gather(ctl, nodes, count, &causes);
    if (status == CTL_OK) {
        add_journal(&tar, &causes);
        add_status(&tar, nodes, count);
        reports = add_reports(ctl, &tar, nodes, count);
        append_zeros(&tar, 2 * (size_t)TAR_BLOCK);
        status = write_file(ctl, path, buf_slice(&tar));
    }
    ctl_probes_free(probes, count);
    if (status == CTL_OK) {
        buf_printf(&ctl->out, "wrote %s: %zu bytes, reports of %zu nodes\n", path, tar.len, reports);
        status = ctl_print(ctl);
    }
    buf_free(&tar);
    return status;
}
