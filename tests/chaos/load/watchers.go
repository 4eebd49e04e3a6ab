package main

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	batonv1 "baton/gen/baton/v1"
)

const silence = 4 * time.Second // after it a watcher asks another node

// watched is one line of a watcher's file: where a stream begins, a change, or what is missing.
type watched struct {
	Event    string `json:"e"` // start, put, delete, gap
	Key      string `json:"k,omitempty"`
	Value    string `json:"v,omitempty"`
	Revision uint64 `json:"rev"`
	Address  string `json:"at,omitempty"`
	At       int64  `json:"t,omitempty"`
}

// watcher follows a prefix from its first revision on, on whatever node serves it.
type watcher struct {
	prefix  string
	first   int // the member it begins with
	cluster *cluster
	out     *journal
	ready   chan struct{} // closed once it has begun
	next    uint64        // 0: not begun
	stream  func(ctx context.Context, address string)
}

func (w *watcher) run(ctx context.Context) {
	for turn := w.first; ctx.Err() == nil; turn++ {
		members := w.cluster.members()
		w.stream(ctx, members[turn%len(members)])
		pause(ctx, retryPause)
	}
}

func (w *watcher) streamBaton(ctx context.Context, address string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	request := &batonv1.WatchRequest{Prefix: []byte(w.prefix)}
	if w.next > 0 {
		request.Start = &batonv1.WatchRequest_FromRevision{FromRevision: w.next}
	}
	stream, err := w.cluster.control(address, w.first).Watch(ctx, request)
	if err != nil {
		return
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			w.failed(err, address)
			return
		}
		quiet.Reset(silence)
		w.take(response, address)
	}
}

func (w *watcher) begin(revision uint64, address string) {
	if w.next == 0 {
		w.out.write(&watched{Event: "start", Revision: revision, Address: address, At: now()})
		w.next = revision + 1
		close(w.ready)
	}
}

func (w *watcher) take(response *batonv1.WatchResponse, address string) {
	w.begin(response.Revision, address)
	for _, event := range response.Events {
		line := watched{Event: "put", Key: string(event.Key), Value: string(event.Value), Revision: event.Revision}
		if event.Type == batonv1.WatchEvent_DELETE {
			line.Event = "delete"
		}
		w.out.write(&line)
	}
	w.next = response.Revision + 1
}

// failed notes what the history has no more, and goes on behind it. The node names the oldest revision that it holds.
func (w *watcher) failed(err error, address string) {
	if status.Code(err) != codes.OutOfRange {
		return
	}
	var oldest uint64
	for _, word := range wordsOf(status.Convert(err).Message()) {
		if number, err := strconv.ParseUint(word, 10, 64); err == nil && number > oldest {
			oldest = number
		}
	}
	if oldest > w.next {
		w.out.write(&watched{Event: "gap", Revision: oldest, Address: address, At: now()})
		w.next = oldest
	}
}
