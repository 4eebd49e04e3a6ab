package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	batonv1 "baton/gen/baton/v1"
)

// writer is one exactly-once client: a session, in which each write is repeated with its sequence until there is an answer.
type writer struct {
	number   int
	name     string
	cluster  *cluster
	keys     *keyspace
	rng      *rand.Rand
	out      *journal
	sequence uint64
	// attempt is true if the outcome is known, or nobody will be asked again.
	attempt func(last context.Context, address string, op *operation) bool
}

// run writes until `over`, each write after its period; `last` is the end of all patience.
func (w *writer) run(over, last context.Context, period time.Duration) {
	pause(over, time.Duration(w.rng.Int64N(int64(period)))) // so that not all write at once
	next := time.Now()
	for over.Err() == nil {
		w.write(over, last)
		next = next.Add(period)
		if behind := time.Since(next); behind > 0 {
			next = next.Add(behind) // what was not written in an outage is not made up for
		}
		pause(over, time.Until(next))
	}
}

// draw is the next write: most put, some only if the key is as last seen, some delete.
func (w *writer) draw() operation {
	w.sequence++
	op := operation{Client: w.number, Op: "put", Key: w.keys.key(w.rng)}
	kind := w.rng.IntN(100)
	if kind < 15 {
		op.Op = "delete"
	} else {
		op.Value = fmt.Sprintf("%d-%d", w.number, w.sequence)
	}
	if kind%5 < 2 {
		expected := w.keys.known(op.Key)
		if op.Op == "put" || expected > 0 {
			op.Expected = &expected
		}
	}
	return op
}

func (w *writer) write(over, last context.Context) {
	op := w.draw()
	op.Invoked = now()
	op.Outcome = outcomeUnknown
	for turn := w.number; last.Err() == nil; turn++ {
		address := w.cluster.target(turn)
		if members := w.cluster.members(); w.isImpatient() && op.Attempts%2 == 1 {
			address = members[turn%len(members)]
		}
		op.Attempts++
		if w.attempt(last, address, &op) {
			op.Address = address
			break
		}
		pause(last, retryPause+time.Duration(w.rng.Int64N(int64(retryPause))))
	}
	op.Returned = now()
	w.out.write(&op)
	if op.Outcome == outcomeOK {
		w.keys.acknowledged(op.Key)
		if op.Op == "put" {
			w.keys.learn(op.Key, op.Revision)
		}
	}
}

// isImpatient is true of every fourth, which soon asks another node, too: a leader that is cut off keeps the others waiting,
// and what the next one writes meanwhile shows whether it still answers reads.
func (w *writer) isImpatient() bool { return w.number%4 == 0 }

func (w *writer) attemptTime() time.Duration {
	if w.isImpatient() {
		return impatience
	}
	return attemptTime
}

// attemptBaton repeats a write with its sequence.
func (w *writer) attemptBaton(last context.Context, address string, op *operation) bool {
	ctx, cancel := context.WithTimeout(last, w.attemptTime())
	defer cancel()
	var trailer metadata.MD
	node := w.cluster.control(address, w.number)
	session := &batonv1.Session{ClientId: w.name, Sequence: w.sequence, AcknowledgedBelow: w.sequence}
	var err error
	if op.Op == "put" {
		request := &batonv1.PutRequest{Key: []byte(op.Key), Value: []byte(op.Value), Session: session}
		if op.Expected != nil {
			request.Expected = &batonv1.PutRequest_ExpectedRevision{ExpectedRevision: *op.Expected}
		}
		var response *batonv1.PutResponse
		if response, err = node.Put(ctx, request, grpc.Trailer(&trailer)); err == nil {
			op.Revision, op.Existed = response.Revision, true
		}
	} else {
		request := &batonv1.DeleteRequest{Key: []byte(op.Key), Session: session}
		if op.Expected != nil {
			request.Expected = &batonv1.DeleteRequest_ExpectedRevision{ExpectedRevision: *op.Expected}
		}
		var response *batonv1.DeleteResponse
		if response, err = node.Delete(ctx, request, grpc.Trailer(&trailer)); err == nil {
			op.Revision, op.Existed = response.Revision, response.Existed
		}
	}
	if err == nil {
		op.Outcome = outcomeOK
		w.cluster.lead(address)
		return true
	}
	return w.refused(address, err, trailer, op)
}

func (w *writer) refused(address string, err error, trailer metadata.MD, op *operation) bool {
	reason, leader := trailer.Get("baton-reason"), trailer.Get("baton-leader-address")
	switch {
	case status.Code(err) == codes.Aborted && len(reason) > 0 && reason[0] == "revision-mismatch":
		op.Outcome = outcomeMismatch
		if found := trailer.Get("baton-revision"); len(found) > 0 {
			fmt.Sscan(found[0], &op.Revision)
		}
		w.keys.learn(op.Key, op.Revision)
		return true
	case status.Code(err) == codes.Aborted && len(reason) > 0 && reason[0] == "session-expired",
		status.Code(err) == codes.InvalidArgument:
		op.Why = err.Error() // neither may happen to such a client: the judge complains
		return true
	case status.Code(err) == codes.FailedPrecondition && len(leader) > 0:
		w.cluster.lead(leader[0])
	case !w.isImpatient():
		w.cluster.doubt(address)
	}
	return false
}
