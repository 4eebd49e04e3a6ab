// Text from anywhere between double quotes, for JSON and for logfmt: whatever the bytes, the result is one value on one
// line, valid UTF-8, and without a control character that a terminal would obey.
#ifndef BATON_BASE_QUOTE_H
#define BATON_BASE_QUOTE_H

#include "base/buf.h"

// A JSON string. Control characters become \u00NN, bytes that are not UTF-8 U+FFFD.
void quote_json(struct buf *out, struct slice s);

// A logfmt value in quotes. Control characters and bytes that are not UTF-8 become \xNN.
void quote_logfmt(struct buf *out, struct slice s);

// Whether a logfmt value can stand without quotes.
bool quote_logfmt_bare(struct slice s);

#endif
