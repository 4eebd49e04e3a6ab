package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	batonv1 "baton/gen/baton/v1"
)

// beat is one line of the workers' file: a registration or a heartbeat that was accepted.
type beat struct {
	Worker string `json:"w"`
	Event  string `json:"e"` // registered, beat, forgotten
	Epoch  uint64 `json:"epoch"`
	Sent   int64  `json:"i"`
	Got    int64  `json:"r"`
}

// worker registers and sends heartbeats, as baton-worker does, over connections that all workers share.
type worker struct {
	id, instance string
	members      *cluster // a worker may not ask for the status, so it is told the addresses
	cluster      *cluster
	rng          *rand.Rand
	out          *journal
	target       string
	epoch        uint64
	interval     time.Duration
}

func wordsOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') })
}

func (w *worker) run(over context.Context) {
	pause(over, time.Duration(w.rng.Int64N(int64(2*time.Second))))
	for turn := w.rng.IntN(16); over.Err() == nil; turn++ {
		if w.target == "" {
			members := w.members.members()
			w.target = members[turn%len(members)]
		}
		ctx, cancel := context.WithTimeout(over, attemptTime)
		accepted, redirect := w.call(ctx)
		cancel()
		if accepted {
			pause(over, w.interval)
			continue
		}
		w.target = redirect
		pause(over, retryPause)
	}
}

// call registers, or sends a heartbeat; if it is not accepted, it gives the address to try next, if one is named.
func (w *worker) call(ctx context.Context) (bool, string) {
	service := batonv1.NewWorkerServiceClient(w.cluster.connection(w.target, 0))
	sent := now()
	if w.epoch == 0 {
		response, err := service.RegisterWorker(ctx, &batonv1.RegisterWorkerRequest{
			WorkerId: w.id, InstanceId: w.instance, Address: "198.18.1.12:9000", Cloud: "gcp", Slots: 1})
		if err != nil || !response.Accepted {
			return false, response.GetRedirect().GetLeaderAddress()
		}
		w.interval = time.Duration(response.HeartbeatIntervalMs) * time.Millisecond
		w.took("registered", response.Epoch, sent)
		return true, ""
	}
	response, err := service.Heartbeat(ctx, &batonv1.HeartbeatRequest{WorkerId: w.id, InstanceId: w.instance, Epoch: w.epoch})
	if status.Code(err) == codes.NotFound {
		w.took("forgotten", 0, sent)
		return false, ""
	}
	if err != nil || !response.Accepted {
		return false, response.GetRedirect().GetLeaderAddress()
	}
	w.took("beat", response.Epoch, sent)
	return true, ""
}

func (w *worker) took(event string, epoch uint64, sent int64) {
	w.epoch = epoch
	w.out.write(&beat{Worker: w.id, Event: event, Epoch: epoch, Sent: sent, Got: now()})
}

func newWorker(number int, members, c *cluster, rng *rand.Rand, out *journal) *worker {
	return &worker{id: fmt.Sprintf("worker-%03d", number), instance: fmt.Sprintf("instance-%03d", number), members: members, cluster: c, rng: rng,
		out: out}
}
