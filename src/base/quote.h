// Quotes untrusted text for JSON and logfmt: whatever the bytes, the result is one value on one line, valid UTF-8, and free
// of control characters.
#ifndef BATON_BASE_QUOTE_H
#define BATON_BASE_QUOTE_H

#include "base/buf.h"

// Appends a JSON string. Control characters become \u00NN; bytes that are not UTF-8 become U+FFFD.
void quote_json(struct buf *out, struct slice s);

// Appends a quoted logfmt value. Control characters and bytes that are not UTF-8 become \xNN.
void quote_logfmt(struct buf *out, struct slice s);

// Whether a logfmt value needs no quotes.
bool quote_logfmt_bare(struct slice s);

#endif
