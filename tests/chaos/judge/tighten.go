package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"
)

// Revisions tell more than times do. Writes happen in the order of their revisions, and what is read was written before and
// not yet replaced, or the model refuses it. So an operation cannot take effect before one that it follows was called, nor
// after one that it precedes has returned: its time is narrowed to that, which changes no verdict and leaves Porcupine few
// orders to try. Each operation in a chain gets a moment of its own, for which times are scaled.
const moment = 1 << 10

// written is a write that was told its revision.
type written struct {
	at       int // in the history
	revision uint64
}

func isWrite(op *operation) bool {
	return op.Outcome == "ok" && (op.Op == "put" || op.Op == "delete" && op.Existed)
}

// reads are the revisions of keys that an operation saw.
func reads(op *operation) []item {
	switch {
	case op.Op == "list":
		return op.Items
	case op.Op == "get" && op.Outcome == "ok", op.Outcome == "mismatch" && op.Revision > 0:
		return []item{{Key: op.Key, Revision: op.Revision}}
	}
	return nil
}

// tighten narrows the times of a group's history; false: an operation has no time left, so that it is not linearizable.
func tighten(history []porcupine.Operation) bool {
	var writes []written
	first := int64(math.MaxInt64)
	for at, one := range history {
		first = min(first, one.Call)
		if op := one.Input.(*operation); isWrite(op) {
			writes = append(writes, written{at, op.Revision})
		}
	}
	for at := range history {
		one := &history[at]
		one.Call = (one.Call - first) * moment
		if one.Return < math.MaxInt64 {
			one.Return = (one.Return-first)*moment + moment - 1 // behind all that was called in the same nanosecond
		}
	}
	slices.SortFunc(writes, func(a, b written) int { return cmp.Compare(a.revision, b.revision) })
	ofKey := map[string][]written{}
	for number, w := range writes {
		if number > 0 {
			history[w.at].Call = max(history[w.at].Call, history[writes[number-1].at].Call+1)
		}
		key := history[w.at].Input.(*operation).Key
		ofKey[key] = append(ofKey[key], w)
	}
	for number := len(writes) - 2; number >= 0; number-- {
		one := &history[writes[number].at]
		one.Return = min(one.Return, history[writes[number+1].at].Return-1)
	}
	for at := range history {
		for _, seen := range reads(history[at].Input.(*operation)) {
			tightenRead(history, at, seen.Revision, ofKey[seen.Key])
		}
	}
	if !slices.ContainsFunc(history, func(one porcupine.Operation) bool { return one.Input.(*operation).Outcome == "unknown" }) {
		for at := range history {
			if op := history[at].Input.(*operation); sawNone(op) {
				tightenAbsence(history, at, ofKey[op.Key])
			}
		}
	}
	return !slices.ContainsFunc(history, func(one porcupine.Operation) bool { return one.Return < one.Call })
}

// tightenRead puts a read between the write of what it saw and the next one of that key.
func tightenRead(history []porcupine.Operation, at int, revision uint64, writes []written) {
	place, found := slices.BinarySearchFunc(writes, revision, func(w written, revision uint64) int {
		return cmp.Compare(w.revision, revision)
	})
	if found {
		history[at].Call = max(history[at].Call, history[writes[place].at].Call+1)
		place++
	}
	if place < len(writes) {
		history[at].Return = min(history[at].Return, history[writes[place].at].Return-1)
	}
}

func sawNone(op *operation) bool {
	return op.Outcome == "missing" || op.Outcome == "mismatch" && op.Revision == 0 ||
		op.Op == "delete" && op.Outcome == "ok" && !op.Existed
}

// tightenAbsence narrows the time of what saw no key, if there was none only once in that time.
func tightenAbsence(history []porcupine.Operation, at int, writes []written) {
	one := &history[at]
	from, to, times := int64(0), int64(0), 0
	for place := -1; place < len(writes); place++ {
		begin, end := int64(math.MinInt64), int64(math.MaxInt64)
		if place >= 0 {
			if history[writes[place].at].Input.(*operation).Op == "put" {
				continue
			}
			begin = history[writes[place].at].Call + 1
		}
		if place+1 < len(writes) {
			end = history[writes[place+1].at].Return - 1
		}
		if begin <= one.Return && one.Call <= end {
			from, to = begin, end
			times++
		}
	}
	if times == 1 {
		one.Call, one.Return = max(one.Call, from), min(one.Return, to)
	}
}
