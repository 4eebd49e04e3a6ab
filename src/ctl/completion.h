// Completing batonctl's command lines in a shell.
#ifndef BATON_CTL_COMPLETION_H
#define BATON_CTL_COMPLETION_H

#include "base/buf.h"

// The word that, as the first one, has the others completed.
#define COMPLETION_WORD "__complete"

// Appends the candidates for the last of the words, which may be empty: each a line, with a tab and what it means. Or the
// line ":files": the shell is to complete a path.
void completion_candidates(char **words, int count, struct buf *out);

#endif
