package main

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"
)

// The keys of one group are one object: a list reads them all at once.
const keysPerGroup = 4

// cell is a key as the model has it. After a write of which only the request is known, the revision is some number above
// the one that the group had then; what reads it, tells it.
type cell struct {
	exists, inexact bool
	value           string
	revision        uint64
}

// group is a state of the model. Revisions are places in one log, so they rise from one write to the next.
type group struct {
	cells [keysPerGroup]cell
	last  uint64 // the highest known revision of a write
}

func (c cell) has(revision uint64) bool {
	return c.exists && (c.revision == revision || c.inexact && revision > c.revision)
}

// reads is true if the cell can be what was read; the cell is then known exactly.
func (g *group) reads(at int, value string, revision uint64) bool {
	c := &g.cells[at]
	if !c.has(revision) || c.value != value {
		return false
	}
	g.learn(at, revision)
	return true
}

func (g *group) learn(at int, revision uint64) {
	g.cells[at].revision, g.cells[at].inexact = revision, false
	g.last = max(g.last, revision)
}

// write changes a cell, under the revision that it was told, or 0.
func (g *group) write(at int, exists bool, value string, revision uint64) bool {
	if revision != 0 && revision <= g.last {
		return false
	}
	g.cells[at] = cell{exists: exists, value: value, revision: revision}
	if revision == 0 {
		g.cells[at].revision, g.cells[at].inexact = g.last, true
	}
	g.last = max(g.last, revision)
	return true
}

// expects is true if the key has the revision that a write asks for; 0 is no such key.
func (g *group) expects(at int, expected uint64) bool {
	if expected == 0 {
		return !g.cells[at].exists
	}
	if !g.cells[at].has(expected) {
		return false
	}
	g.learn(at, expected)
	return true
}

// unknown is a write that may have happened or not: where it is placed, it has the effect that it would have there.
func (g *group) unknown(op *operation, at int) {
	if op.Expected == nil || g.expects(at, *op.Expected) {
		g.write(at, op.Op == "put", op.Value, 0)
	}
}

func (g *group) mutate(op *operation, at int) bool {
	switch {
	case op.Outcome == "mismatch":
		// Whatever the key has, it is not what was expected, and the answer tells it.
		return op.Expected != nil && *op.Expected != op.Revision && g.expects(at, op.Revision)
	case op.Expected != nil && !g.expects(at, *op.Expected):
		return false
	case op.Op == "put":
		return g.write(at, true, op.Value, op.Revision)
	case !op.Existed:
		return !g.cells[at].exists
	}
	return g.cells[at].exists && g.write(at, false, "", op.Revision)
}

func (g *group) list(op *operation) bool {
	listed := 0
	for _, one := range op.Items {
		if !strings.HasPrefix(one.Key, op.Key) || !g.reads(place(one.Key), one.Value, one.Revision) {
			return false
		}
		listed++
	}
	for _, c := range g.cells {
		if c.exists {
			listed--
		}
	}
	return listed == 0
}

// place is a key's number in its group: its last character.
func place(key string) int {
	at := int(key[len(key)-1] - '0')
	if at < 0 || at >= keysPerGroup {
		panic("not a key of the load: " + key)
	}
	return at
}

func step(state, input, _ any) (bool, any) {
	g, op := state.(group), input.(*operation)
	if op.Op == "list" {
		return g.list(op), g
	}
	at := place(op.Key)
	switch {
	case op.Op == "get" && op.Outcome == "missing":
		return !g.cells[at].exists, g
	case op.Op == "get":
		return g.reads(at, op.Value, op.Revision), g
	case op.Outcome == "unknown":
		g.unknown(op, at)
		return true, g
	}
	return g.mutate(op, at), g
}

var model = porcupine.Model{
	Init:  func() any { return group{} },
	Step:  step,
	Equal: func(a, b any) bool { return a.(group) == b.(group) },
	DescribeOperation: func(input, _ any) string {
		op := input.(*operation)
		return fmt.Sprintf("%s %s %q: %s %q %d", op.Op, op.Key, op.Value, op.Outcome, op.Items, op.Revision)
	},
}
