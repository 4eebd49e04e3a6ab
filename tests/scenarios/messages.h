// The commands about messages; script.h describes them.
#ifndef BATON_TESTS_SCENARIOS_MESSAGES_H
#define BATON_TESTS_SCENARIOS_MESSAGES_H

#include "words.h"

void messages_deliver(struct words *words);
void messages_drop(struct words *words);
void messages_fail(struct words *words);
void messages_repeat(struct words *words);
void messages_cut(struct words *words);
void messages_heal(struct words *words);
void messages_disconnect(struct words *words);
void messages_meet(struct words *words);
void messages_send(struct words *words);
void messages_reply(struct words *words);

#endif
