package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

const key, prefix = "g01/e0000/k1", "g01/e0000/"

func expected(revision uint64) *uint64 { return &revision }

// verdictOf is that of operations that follow each other, except that one which is unknown never returns.
func verdictOf(operations ...operation) porcupine.CheckResult {
	var history []porcupine.Operation
	for at, op := range operations {
		call, end := int64(10*at), int64(10*at+5)
		if op.Outcome == "unknown" {
			end = math.MaxInt64
		}
		if op.Key == "" {
			op.Key = key
		}
		history = append(history, porcupine.Operation{ClientId: at, Input: &op, Call: call, Return: end})
	}
	tightened := decide(history, time.Minute)
	if whole := porcupine.CheckOperationsTimeout(model, history, time.Minute); whole != tightened {
		return "tightened " + tightened + ", and else " + whole
	}
	return tightened
}

func put(value string, revision uint64) operation {
	return operation{Op: "put", Value: value, Outcome: "ok", Revision: revision, Existed: true}
}

func get(value string, revision uint64) operation {
	return operation{Op: "get", Value: value, Outcome: "ok", Revision: revision}
}

func list(items ...item) operation {
	return operation{Op: "list", Key: prefix, Outcome: "ok", Items: items}
}

var (
	missing = operation{Op: "get", Outcome: "missing"}
	deleted = operation{Op: "delete", Outcome: "ok", Revision: 7, Existed: true}
	absent  = operation{Op: "delete", Outcome: "ok", Revision: 7}
	lost    = operation{Op: "put", Value: "?", Outcome: "unknown"}
)

func TestModel(t *testing.T) {
	compare := put("b", 6)
	compare.Expected = expected(5)
	create := put("b", 6)
	create.Expected = expected(0)
	refused := operation{Op: "put", Value: "b", Outcome: "mismatch", Revision: 5, Expected: expected(4)}
	for name, one := range map[string]struct {
		want porcupine.CheckResult
		told []operation
	}{
		"a write is read":                {porcupine.Ok, []operation{put("a", 5), get("a", 5)}},
		"a stale read":                   {porcupine.Illegal, []operation{put("a", 5), put("b", 6), get("a", 5)}},
		"a lost write":                   {porcupine.Illegal, []operation{put("a", 5), missing}},
		"a write from nowhere":           {porcupine.Illegal, []operation{put("a", 5), get("b", 6)}},
		"a wrong revision":               {porcupine.Illegal, []operation{put("a", 5), get("a", 6)}},
		"revisions that fall":            {porcupine.Illegal, []operation{put("a", 5), put("b", 4)}},
		"a compared write":               {porcupine.Ok, []operation{put("a", 5), compare, get("b", 6)}},
		"a comparison that must fail":    {porcupine.Illegal, []operation{put("a", 4), compare}},
		"a creation":                     {porcupine.Ok, []operation{create}},
		"a creation of what exists":      {porcupine.Illegal, []operation{put("a", 5), create}},
		"a refusal":                      {porcupine.Ok, []operation{put("a", 5), refused}},
		"a refusal of what would fit":    {porcupine.Illegal, []operation{put("a", 4), refused}},
		"a deletion":                     {porcupine.Ok, []operation{put("a", 5), deleted, missing}},
		"a deletion undone":              {porcupine.Illegal, []operation{put("a", 5), deleted, get("a", 5)}},
		"a deletion of nothing":          {porcupine.Ok, []operation{absent}},
		"a deletion that found nothing":  {porcupine.Illegal, []operation{put("a", 5), absent}},
		"a deletion that found too much": {porcupine.Illegal, []operation{deleted}},
		"a list":                         {porcupine.Ok, []operation{put("a", 5), list(item{key, "a", 5})}},
		"a list that misses":             {porcupine.Illegal, []operation{put("a", 5), list()}},
		"a list with too much":           {porcupine.Illegal, []operation{list(item{key, "a", 5})}},
		"a list of another group":        {porcupine.Illegal, []operation{put("a", 5), list(item{"g02/e0000/k1", "a", 5})}},
		"unknown, and happened":          {porcupine.Ok, []operation{put("a", 5), lost, get("?", 9), put("b", 10)}},
		"unknown, and did not":           {porcupine.Ok, []operation{put("a", 5), lost, get("a", 5), put("b", 10)}},
		"unknown, and late":              {porcupine.Ok, []operation{put("a", 5), lost, get("a", 5), get("?", 8)}},
		"unknown, and undone":            {porcupine.Illegal, []operation{put("a", 5), lost, get("?", 8), get("a", 5)}},
		"unknown, twice":                 {porcupine.Illegal, []operation{lost, get("?", 8), put("b", 9), get("?", 10)}},
		"unknown, under an old revision": {porcupine.Illegal, []operation{put("a", 5), lost, get("?", 4)}},
	} {
		if got := verdictOf(one.told...); got != one.want {
			t.Errorf("%s: %s, not %s", name, got, one.want)
		}
	}
}

// Two keys of a group are read by a list at one moment.
func TestModelListIsOneMoment(t *testing.T) {
	other := put("x", 6)
	other.Key = "g01/e0000/k2"
	torn := list(item{other.Key, "x", 6}) // without k1, which was written before
	if got := verdictOf(put("a", 5), other, torn); got != porcupine.Illegal {
		t.Errorf("a torn list: %s", got)
	}
}

// history is what clients that write, compare, read and list at the same time are told by one store. Reads are sometimes of
// the state before, which may or may not be seen from outside.
func history(rng *rand.Rand, operations int) []porcupine.Operation {
	var state, before group
	var told []porcupine.Operation
	for number := range operations {
		op := &operation{Op: "get", Key: fmt.Sprintf("%sk%d", prefix, rng.IntN(2)), Outcome: "ok"}
		at, revision := place(op.Key), uint64(10+number)
		switch rng.IntN(4) {
		case 0, 1:
			before = state
			op.Op, op.Value, op.Revision, op.Existed = "put", fmt.Sprint(number), revision, true
			state.write(at, true, op.Value, revision)
		case 2:
			read := state
			if rng.IntN(5) == 0 {
				read = before
			}
			if op.Value, op.Revision = read.cells[at].value, read.cells[at].revision; !read.cells[at].exists {
				op.Outcome = "missing"
			}
		default:
			wanted := revision
			op.Op, op.Value, op.Expected, op.Outcome, op.Revision = "put", "?", &wanted, "mismatch", state.cells[at].revision
		}
		call := int64(10 * number)
		told = append(told, porcupine.Operation{Input: op, Call: call - rng.Int64N(25), Return: call + 1 + rng.Int64N(25)})
	}
	return told
}

// Narrowed times change no verdict.
func TestTighten(t *testing.T) {
	seen := map[porcupine.CheckResult]int{}
	for seed := range uint64(3000) {
		told := history(rand.New(rand.NewPCG(seed, 0)), 9)
		want := porcupine.CheckOperationsTimeout(model, told, time.Minute)
		if got := decide(told, time.Minute); got != want {
			t.Fatalf("seed %d: %s, not %s", seed, got, want)
		}
		seen[want]++
	}
	if seen[porcupine.Ok] < 100 || seen[porcupine.Illegal] < 100 {
		t.Errorf("too few of one verdict: %v", seen)
	}
}

// What a watch saw of writes without an answer is known; what a whole watch did not see, did not happen.
func TestResolve(t *testing.T) {
	name := filepath.Join(t.TempDir(), "watch-0.jsonl")
	lines := `{"e":"start","rev":4}` + "\n" + `{"e":"put","k":"` + key + `","v":"?","rev":8}` + "\n"
	other, removal := lost, operation{Op: "delete", Outcome: "unknown"}
	other.Value = "never"
	for more, want := range map[string]int{"": 2, `{"e":"gap","rev":20}` + "\n": 3} {
		if err := os.WriteFile(name, []byte(lines+more), 0o600); err != nil {
			t.Fatal(err)
		}
		seen := lost
		kept, err := resolve([]*operation{&seen, &other, &removal}, name)
		if err != nil || len(kept) != want || (want == 2) != (seen.Outcome == "ok" && seen.Revision == 8) {
			t.Errorf("with %q: %d operations are kept, the first is %v; %v", more, len(kept), seen, err)
		}
	}
}
