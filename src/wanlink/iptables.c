// Installs and removes the WANLINK chain by iptables-restore, whose commit is atomic.
#include "wanlink/iptables.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static enum error_code restore(const char *rules, bool silent, struct error *error) {
    // -w waits for the lock of another iptables; a plain user's PATH lacks sbin.
    const char *command = silent ? "PATH=$PATH:/usr/sbin:/sbin exec iptables-restore -w 10 --noflush 2>/dev/null"
                                 : "PATH=$PATH:/usr/sbin:/sbin exec iptables-restore -w 10 --noflush";
    FILE *pipe = popen(command, "w");
    if (pipe == NULL) {
        return error_set(error, ERR_IO, "cannot run iptables-restore: %s", strerror(errno));
    }
    int written = fputs(rules, pipe);
    int status = pclose(pipe);
    if (written < 0 || status != 0) {
        return error_set(error, ERR_IO,
                         "iptables-restore failed: is iptables installed, and are we root in this namespace?");
    }
    return OK;
}

enum error_code iptables_install(const char *from, const char *to, struct error *error) {
    // A killed wanlink's jump is deleted in the same commit, so that no packet slips through in between. If there is none,
    // deleting it fails, and with it the whole first attempt.
    static const char *const delete_jump[] = {"-D FORWARD -j WANLINK\n", ""};
    enum error_code code = ERR_IO;
    for (int attempt = 0; code != OK && attempt < 2; attempt++) {
        char rules[512];
        int len = snprintf(rules, sizeof rules,
                           "*filter\n"
                           ":WANLINK - [0:0]\n"
                           "%s"
                           "-A WANLINK -i %s -o %s -j NFQUEUE --queue-num %d\n"
                           "-A WANLINK -i %s -o %s -j NFQUEUE --queue-num %d\n"
                           "-I FORWARD -j WANLINK\n"
                           "COMMIT\n",
                           delete_jump[attempt], from, to, QUEUE_FORTH, to, from, QUEUE_BACK);
        assert(len > 0 && (size_t)len < sizeof rules);
        code = restore(rules, attempt == 0, error);
    }
    return code;
}

enum error_code iptables_remove(struct error *error) {
    return restore("*filter\n-D FORWARD -j WANLINK\n-F WANLINK\n-X WANLINK\nCOMMIT\n", false, error);
}
