// judge FILE - whether the history of tests/chaos/load is linearizable, by Porcupine, group of keys by group of keys.
//
// Stale reads are left out, and what failed had no effect. Prints one line of JSON: how much was judged, which groups are not
// linearizable, and which could not be decided in time. What a group's clients saw is written beside FILE, if it is not
// linearizable. Exit status: 0 linearizable, 1 not, or not decided.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

const patience = time.Minute // for one group

type item struct {
	Key      string `json:"k"`
	Value    string `json:"v"`
	Revision uint64 `json:"rev"`
}

// operation is a line of the history; see tests/chaos/load/history.go.
type operation struct {
	Client   int     `json:"c"`
	Op       string  `json:"op"`
	How      string  `json:"how"`
	Key      string  `json:"k"`
	Value    string  `json:"v"`
	Expected *uint64 `json:"exp"`
	Invoked  int64   `json:"i"`
	Returned int64   `json:"r"`
	Outcome  string  `json:"o"`
	Revision uint64  `json:"rev"`
	Existed  bool    `json:"ex"`
	Items    []item  `json:"items"`
}

type verdict struct {
	Groups     int      `json:"groups"`
	Operations int      `json:"operations"`
	Unknown    int      `json:"unknown"`
	Illegal    []string `json:"illegal"`
	Undecided  []string `json:"undecided"`
	Seconds    float64  `json:"seconds"`
}

// lines decodes each line of a file into a value of its own.
func lines[T any](name string, take func(*T)) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	found := bufio.NewScanner(file)
	found.Buffer(nil, 1<<20)
	for found.Scan() {
		line := new(T)
		if err := json.Unmarshal(found.Bytes(), line); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, found.Text())
		}
		take(line)
	}
	return found.Err()
}

// resolve looks up in a watch of all keys what became of the writes without an answer, if it missed nothing: with many of
// them there are too many orders to try. Deletions cannot be told apart.
func resolve(operations []*operation, watch string) ([]*operation, error) {
	revisions, isWhole := map[string]uint64{}, true
	err := lines(watch, func(line *struct {
		Event    string `json:"e"`
		Value    string `json:"v"`
		Revision uint64 `json:"rev"`
	}) {
		isWhole = isWhole && line.Event != "gap"
		if line.Event == "put" {
			revisions[line.Value] = line.Revision
		}
	})
	if err != nil || !isWhole {
		return operations, err
	}
	var kept []*operation
	for _, op := range operations {
		if op.Outcome == "unknown" && op.Op == "put" {
			if op.Revision = revisions[op.Value]; op.Revision == 0 {
				continue
			}
			op.Outcome = "ok"
		}
		kept = append(kept, op)
	}
	return kept, nil
}

// read gives the operations by group, whose name ends with the last '/' of their keys, and how many were unknown.
func read(name string) (map[string][]porcupine.Operation, int, error) {
	var operations []*operation
	unknown := 0
	err := lines(name, func(op *operation) {
		if op.How == "stale" || op.Outcome == "failed" {
			return
		}
		if op.Outcome == "unknown" {
			op.Returned = math.MaxInt64
			unknown++
		}
		operations = append(operations, op)
	})
	if err == nil && unknown > 0 {
		operations, err = resolve(operations, filepath.Join(filepath.Dir(name), "watch-0.jsonl"))
	}
	found := map[string][]porcupine.Operation{}
	for _, op := range operations {
		group := op.Key[:strings.LastIndexByte(op.Key, '/')+1]
		found[group] = append(found[group],
			porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Invoked, Return: op.Returned})
	}
	return found, unknown, err
}

// tell writes what a group's clients saw, by time.
func tell(directory, group string, history []porcupine.Operation) error {
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	file, err := os.Create(filepath.Join(directory, "illegal-"+strings.ReplaceAll(group, "/", "-")+"jsonl"))
	if err != nil {
		return err
	}
	defer file.Close()
	lines := json.NewEncoder(file)
	for _, one := range history {
		if err := lines.Encode(one.Input); err != nil {
			return err
		}
	}
	return nil
}

func decide(history []porcupine.Operation, within time.Duration) porcupine.CheckResult {
	history = slices.Clone(history) // what is told of it has its own times
	if !tighten(history) {
		return porcupine.Illegal
	}
	return porcupine.CheckOperationsTimeout(model, history, within)
}

// judge decides all groups, as many at once as there are processors.
func judge(groups map[string][]porcupine.Operation, within time.Duration) verdict {
	found := verdict{Groups: len(groups), Illegal: []string{}, Undecided: []string{}}
	var lock sync.Mutex
	var all sync.WaitGroup
	room := make(chan struct{}, runtime.NumCPU())
	for name, history := range groups {
		found.Operations += len(history)
		all.Go(func() {
			room <- struct{}{}
			result := decide(history, within)
			<-room
			lock.Lock()
			defer lock.Unlock()
			switch result {
			case porcupine.Illegal:
				found.Illegal = append(found.Illegal, name)
			case porcupine.Unknown:
				found.Undecided = append(found.Undecided, name)
			}
		})
	}
	all.Wait()
	slices.Sort(found.Illegal)
	slices.Sort(found.Undecided)
	return found
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: judge FILE")
		os.Exit(2)
	}
	began := time.Now()
	groups, unknown, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	found := judge(groups, patience)
	for _, name := range found.Illegal {
		if err := tell(filepath.Dir(os.Args[1]), name, groups[name]); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	found.Unknown, found.Seconds = unknown, time.Since(began).Seconds()
	json.NewEncoder(os.Stdout).Encode(found)
	if len(found.Illegal)+len(found.Undecided) > 0 {
		os.Exit(1)
	}
}
