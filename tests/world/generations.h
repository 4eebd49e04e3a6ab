// A majority is gone for good: the operator lets a survivor found the next generation, and takes in again whom it can, by
// batond's own --promote-survivor and --rejoin.
//
//   it is founded, or not      with all that is on the survivor's disk, wherever the command was ended (ledger_founded)
//   nothing is lost silently   who rejoins keeps what only it had (left_behind.h)
//   the old side hears of it   a node of an older generation that reaches one of the newest stops serving
#ifndef BATON_TESTS_WORLD_GENERATIONS_H
#define BATON_TESTS_WORLD_GENERATIONS_H

#include <stdbool.h>
#include <stdint.h>

// From now on the survivor is alone: of the others some are gone for good, some come back later, and some go on without it,
// each for at most so long. `draw` decides. False: it cannot be.
bool generations_lose_majority(int survivor, uint64_t draw, uint64_t for_us);

// Looks after a host now and then, whose node may be of an old generation. True: it is, or is being seen to.
bool generations_look_after(int host);

// Nothing of that is under way, and no node is left of an old generation.
bool generations_are_settled(void);
void generations_close(void);  // nothing new
void generations_reset(void);
uint64_t generations_founded(void);   // in all runs
uint64_t generations_rejoined(void);  // nodes

#endif
