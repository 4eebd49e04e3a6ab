package main

import (
	"context"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/status"
)

// The same clients on etcd's API. It has no sessions: a write without an answer is not repeated, and its outcome is unknown.

// prefixEnd is the first key after those with a prefix.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}

// request is the write in one transaction: if it is compared, its other branch reads what the key has.
func (op *operation) request() *pb.TxnRequest {
	key := []byte(op.Key)
	write := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: []byte(op.Value)}}}
	if op.Op == "delete" {
		write = &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key}}}
	}
	txn := &pb.TxnRequest{Success: []*pb.RequestOp{write}}
	if op.Expected != nil {
		txn.Compare = []*pb.Compare{{Result: pb.Compare_EQUAL, Target: pb.Compare_MOD, Key: key,
			TargetUnion: &pb.Compare_ModRevision{ModRevision: int64(*op.Expected)}}}
		txn.Failure = []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key}}}}
	}
	return txn
}

// wasNotSent is true of an error that says so: another node may be asked.
func wasNotSent(err error) bool {
	text := status.Convert(err).Message()
	return strings.Contains(text, "while dialing") || strings.Contains(text, "no leader") || strings.Contains(text, "too many requests")
}

func (w *writer) attemptEtcd(last context.Context, address string, op *operation) bool {
	ctx, cancel := context.WithTimeout(last, attemptTime)
	defer cancel()
	response, err := pb.NewKVClient(w.cluster.connection(address, w.number)).Txn(ctx, op.request())
	if err != nil {
		w.cluster.doubt(address)
		return !wasNotSent(err)
	}
	w.cluster.lead(address) // any that answers
	op.Outcome, op.Revision, op.Existed = outcomeOK, uint64(response.Header.Revision), true
	switch {
	case !response.Succeeded:
		op.Outcome, op.Revision = outcomeMismatch, 0
		if found := response.Responses[0].GetResponseRange().Kvs; len(found) > 0 {
			op.Revision = uint64(found[0].ModRevision)
		}
		w.keys.learn(op.Key, op.Revision)
	case op.Op == "delete":
		op.Existed = response.Responses[0].GetResponseDeleteRange().Deleted > 0
	}
	return true
}

func (r *reader) askEtcd(over context.Context, op *operation) string {
	ctx, cancel := context.WithTimeout(over, attemptTime)
	defer cancel()
	request := &pb.RangeRequest{Key: []byte(op.Key), Serializable: r.how == "stale"}
	if op.Op == "list" {
		request.RangeEnd = prefixEnd(op.Key)
	}
	response, err := pb.NewKVClient(r.cluster.connection(op.Address, r.number)).Range(ctx, request)
	if err != nil {
		op.Why = status.Code(err).String()
		return ""
	}
	op.Outcome, op.ReadIndex = outcomeOK, uint64(response.Header.Revision)
	for _, one := range response.Kvs {
		op.Items = append(op.Items, item{string(one.Key), string(one.Value), uint64(one.ModRevision)})
	}
	if op.Op == "get" && len(op.Items) == 0 {
		op.Outcome = outcomeMissing
	} else if op.Op == "get" {
		op.Value, op.Revision, op.Items = op.Items[0].Value, op.Items[0].Revision, nil
	}
	return ""
}

func (w *watcher) streamEtcd(ctx context.Context, address string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	stream, err := pb.NewWatchClient(w.cluster.connection(address, w.first)).Watch(ctx)
	if err != nil {
		return
	}
	create := &pb.WatchCreateRequest{Key: []byte(w.prefix), RangeEnd: prefixEnd(w.prefix), StartRevision: int64(w.next)}
	if stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}) != nil {
		return
	}
	for {
		response, err := stream.Recv()
		if err != nil || response.Canceled {
			return
		}
		quiet.Reset(silence)
		w.begin(uint64(response.Header.Revision), address)
		for _, event := range response.Events {
			w.takeEtcd(event)
		}
	}
}

func (w *watcher) takeEtcd(event *mvccpb.Event) {
	line := watched{Event: "put", Key: string(event.Kv.Key), Value: string(event.Kv.Value), Revision: uint64(event.Kv.ModRevision)}
	if event.Type == mvccpb.Event_DELETE {
		line.Event = "delete"
	}
	w.out.write(&line)
	w.next = line.Revision + 1
}
