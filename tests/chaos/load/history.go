package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The outcomes of an operation. A failed one had no effect; what became of an unknown one nobody was told.
const (
	outcomeOK       = "ok"
	outcomeMismatch = "mismatch" // the key had another revision than the expected one
	outcomeMissing  = "missing"  // no such key
	outcomeFailed   = "failed"
	outcomeUnknown  = "unknown"
)

// item is a key as a list has it.
type item struct {
	Key      string `json:"k"`
	Value    string `json:"v"`
	Revision uint64 `json:"rev"`
}

// operation is one line of a client's history.
type operation struct {
	Client    int     `json:"c"`
	Op        string  `json:"op"`            // put, delete, get, list
	How       string  `json:"how,omitempty"` // of a read: leader, follower, stale
	Key       string  `json:"k"`
	Value     string  `json:"v,omitempty"`
	Expected  *uint64 `json:"exp,omitempty"`
	Invoked   int64   `json:"i"` // unix time in nanoseconds
	Returned  int64   `json:"r"`
	Outcome   string  `json:"o"`
	Revision  uint64  `json:"rev,omitempty"`
	Existed   bool    `json:"ex,omitempty"`
	ReadIndex uint64  `json:"ri,omitempty"`
	Address   string  `json:"at,omitempty"` // of the node that answered
	Attempts  int     `json:"n,omitempty"`
	Why       string  `json:"why,omitempty"`
	Items     []item  `json:"items,omitempty"`
}

// journal is a file of JSON lines, written by many.
type journal struct {
	lock sync.Mutex
	file *os.File
	out  *bufio.Writer
}

func openJournal(directory, name string) (*journal, error) {
	file, err := os.Create(filepath.Join(directory, name))
	if err != nil {
		return nil, err
	}
	return &journal{file: file, out: bufio.NewWriterSize(file, 1<<16)}, nil
}

// write ends the process if the history cannot be kept: what is judged must be whole.
func (j *journal) write(line any) {
	text, err := json.Marshal(line)
	if err == nil {
		j.lock.Lock()
		defer j.lock.Unlock()
		_, err = j.out.Write(append(text, '\n'))
	}
	if err != nil {
		fatal("the history cannot be written: %v", err)
	}
}

func (j *journal) close() {
	j.lock.Lock()
	defer j.lock.Unlock()
	if err := j.out.Flush(); err != nil {
		fatal("the history cannot be written: %v", err)
	}
	j.file.Close()
}

var began = time.Now()

// now is unix time in nanoseconds that never goes back within this process.
func now() int64 { return began.UnixNano() + int64(time.Since(began)) }
