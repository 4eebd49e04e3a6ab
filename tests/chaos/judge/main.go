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

const patience = 2 * time.Minute // for one group

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

// read gives the operations by group, whose name ends with the last '/' of their keys.
func read(name string) (map[string][]porcupine.Operation, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found := map[string][]porcupine.Operation{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		op := &operation{}
		if err := json.Unmarshal(lines.Bytes(), op); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", name, err, lines.Text())
		}
		if op.How == "stale" || op.Outcome == "failed" || op.Outcome == "unknown" && (op.Op == "get" || op.Op == "list") {
			continue
		}
		if op.Outcome == "unknown" {
			op.Returned = math.MaxInt64
		}
		group := op.Key[:strings.LastIndexByte(op.Key, '/')+1]
		found[group] = append(found[group],
			porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Invoked, Return: op.Returned})
	}
	return found, lines.Err()
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

// judge decides all groups, as many at once as there are processors.
func judge(groups map[string][]porcupine.Operation, within time.Duration) verdict {
	found := verdict{Groups: len(groups), Illegal: []string{}, Undecided: []string{}}
	var lock sync.Mutex
	var all sync.WaitGroup
	room := make(chan struct{}, runtime.NumCPU())
	for name, history := range groups {
		found.Operations += len(history)
		for _, one := range history {
			if one.Input.(*operation).Outcome == "unknown" {
				found.Unknown++
			}
		}
		all.Go(func() {
			room <- struct{}{}
			result := porcupine.CheckOperationsTimeout(model, history, within)
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
	groups, err := read(os.Args[1])
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
	found.Seconds = time.Since(began).Seconds()
	json.NewEncoder(os.Stdout).Encode(found)
	if len(found.Illegal)+len(found.Undecided) > 0 {
		os.Exit(1)
	}
}
