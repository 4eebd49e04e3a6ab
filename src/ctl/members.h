// What the commands about members share: members.c and replace.c.
#ifndef BATON_CTL_MEMBERS_H
#define BATON_CTL_MEMBERS_H

#include "baton/v1/control.pb.h"
#include "ctl/commands.h"

// Where a member is, as the command line says: ID=ADDRESS/CLOUD or ID=ADDRESS. Borrows from it.
struct place {
    struct slice id;
    struct slice address;
    struct slice cloud;  // empty: not given
};

// CTL_USAGE, with a message, for a text that is neither well formed nor allowed.
enum ctl_exit place_parse(struct ctl *ctl, const char *text, bool with_cloud, struct place *place);

// Makes one of the calls that change members, with its request; *effect is borrowed until the next call. Errors as of
// ctl_call.
enum ctl_exit member_call(struct ctl *ctl, const struct pb_method *method, const void *request,
                          struct pb_member_effect *effect);

// The effect in words, in lines of their own with this indent, and as members of a JSON object.
void effect_print(struct buf *out, const struct pb_member_effect *effect, const char *indent);
void effect_json(struct json *json, const struct pb_member_effect *effect);

// How the new node is started, as a line for a shell: the flags that it needs, with certificates if batonctl has some.
void start_command(const struct ctl *ctl, const struct place *place, struct slice cluster, struct buf *out);

#endif
