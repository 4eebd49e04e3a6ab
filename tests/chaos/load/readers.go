package main

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	batonv1 "baton/gen/baton/v1"
)

// reader reads keys and groups of keys. It asks any node: one that wrongly believes to lead must not answer.
type reader struct {
	number  int
	how     string // leader, follower or stale
	cluster *cluster
	keys    *keyspace
	rng     *rand.Rand
	out     *journal
	// ask gives the leader's address, if another node leads.
	ask func(over context.Context, op *operation) string
}

func (r *reader) run(over context.Context, period time.Duration) {
	for over.Err() == nil {
		r.read(over)
		pause(over, period/2+time.Duration(r.rng.Int64N(int64(period))))
	}
}

// read is a failed operation if the node asked does not answer; a read is not worth being repeated.
func (r *reader) read(over context.Context) {
	members := r.cluster.members()
	op := operation{Client: r.number, Op: "get", How: r.how, Outcome: outcomeFailed, Attempts: 1}
	op.Address = members[r.rng.IntN(len(members))]
	if r.rng.IntN(4) == 0 {
		op.Op, op.Key = "list", r.keys.prefix(r.rng)
	} else {
		op.Key = r.keys.keyToRead(r.rng)
	}
	op.Invoked = now()
	leader := r.ask(over, &op)
	if leader != "" {
		op.Address, op.Attempts = leader, 2
		r.ask(over, &op)
	}
	op.Returned = now()
	r.out.write(&op)
}

func (r *reader) askBaton(over context.Context, op *operation) string {
	ctx, cancel := context.WithTimeout(over, attemptTime)
	defer cancel()
	var trailer metadata.MD
	var err error
	stale, follower := r.how == "stale", r.how == "follower"
	node := r.cluster.control(op.Address, r.number)
	if op.Op == "get" {
		var response *batonv1.GetResponse
		request := &batonv1.GetRequest{Key: []byte(op.Key), Stale: stale, Follower: follower}
		if response, err = node.Get(ctx, request, grpc.Trailer(&trailer)); err == nil {
			op.Value, op.Revision, op.ReadIndex = string(response.Value), response.Revision, response.ReadIndex
		}
	} else {
		var response *batonv1.ListResponse
		request := &batonv1.ListRequest{Prefix: []byte(op.Key), Stale: stale, Follower: follower}
		if response, err = node.List(ctx, request, grpc.Trailer(&trailer)); err == nil {
			op.ReadIndex = response.ReadIndex
			for _, one := range response.Items {
				op.Items = append(op.Items, item{string(one.Key), string(one.Value), one.Revision})
			}
		}
	}
	leader := trailer.Get("baton-leader-address")
	switch {
	case err == nil:
		op.Outcome = outcomeOK
	case status.Code(err) == codes.NotFound:
		op.Outcome = outcomeMissing
	case status.Code(err) == codes.FailedPrecondition && len(leader) > 0:
		return leader[0]
	default:
		op.Why = status.Code(err).String()
	}
	return ""
}
