package main

import (
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
			end = 1 << 60
		}
		if op.Key == "" {
			op.Key = key
		}
		history = append(history, porcupine.Operation{ClientId: at, Input: &op, Call: call, Return: end})
	}
	return porcupine.CheckOperationsTimeout(model, history, time.Minute)
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
