// A client of baton in Go, with stubs that protoc generates from proto/baton/v1: it watches a key, puts it, receives the
// change, and lists the workers. It may be given any node, and follows it to the leader where a call needs that.
//
//	go run . -key greeting -value hello HOST:PORT
package main

//go:generate protoc -I ../../proto --go_out=. --go_opt=module=baton --go-grpc_out=. --go-grpc_opt=module=baton baton/v1/options.proto baton/v1/raft.proto baton/v1/control.proto

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	batonv1 "baton/gen/baton/v1"
)

// client has the node that it was given, and the last known leader.
type client struct{ given, leader batonv1.ControlServiceClient }

func dial(address string) batonv1.ControlServiceClient {
	// For a cluster with certificates: credentials.NewTLS.
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	return batonv1.NewControlServiceClient(conn)
}

// onLeader follows redirects to the leader, and retries while there is none.
func onLeader[Request, Response any](ctx context.Context, c *client, request Request,
	call func(batonv1.ControlServiceClient, context.Context, Request, ...grpc.CallOption) (Response, error)) Response {
	for {
		var trailer metadata.MD
		response, err := call(c.leader, ctx, request, grpc.Trailer(&trailer))
		leader := trailer.Get("baton-leader-address")
		switch {
		case err == nil:
			return response
		case status.Code(err) == codes.FailedPrecondition && len(leader) > 0:
			fmt.Printf("the leader is at %s\n", leader[0])
			c.leader = dial(leader[0])
		case status.Code(err) == codes.Unavailable && ctx.Err() == nil:
			c.leader = c.given
			time.Sleep(100 * time.Millisecond)
		default:
			log.Fatal(err)
		}
	}
}

// watchFromNow begins a Watch, which every node serves, and returns the revision after which it sends changes. The leader
// says what "now" is: while there is none, it tries again.
func watchFromNow(ctx context.Context, node batonv1.ControlServiceClient, key string) (batonv1.ControlService_WatchClient, uint64) {
	for {
		watch, err := node.Watch(ctx, &batonv1.WatchRequest{Prefix: []byte(key)}, grpc.WaitForReady(true))
		if err == nil {
			var start *batonv1.WatchResponse
			if start, err = watch.Recv(); err == nil {
				return watch, start.Revision
			}
		}
		if status.Code(err) != codes.Unavailable || ctx.Err() != nil {
			log.Fatal(err)
		}
		fmt.Println("waiting for a leader")
		time.Sleep(100 * time.Millisecond)
	}
}

func main() {
	key := flag.String("key", "greeting", "the key to put")
	value := flag.String("value", "hello", "its value")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("give the address of one node: HOST:PORT")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	node := dial(flag.Arg(0))
	c := &client{given: node, leader: node}

	watch, revision := watchFromNow(ctx, node, *key)
	fmt.Printf("watching %s after revision %d\n", *key, revision)

	// The session makes it safe to send the same write again: it is applied once.
	session := &batonv1.Session{ClientId: rand.Text(), Sequence: 1}
	put := onLeader(ctx, c, &batonv1.PutRequest{Key: []byte(*key), Value: []byte(*value), Session: session},
		batonv1.ControlServiceClient.Put)
	fmt.Printf("put %s at revision %d\n", *key, put.Revision)

	for seen := false; !seen; {
		changes, err := watch.Recv()
		if err != nil {
			log.Fatal(err)
		}
		for _, event := range changes.Events {
			fmt.Printf("%s %s = %s at revision %d\n", event.Type, event.Key, event.Value, event.Revision)
			seen = seen || event.Revision == put.Revision
		}
	}

	workers := onLeader(ctx, c, &batonv1.ListWorkersRequest{}, batonv1.ControlServiceClient.ListWorkers)
	for _, worker := range workers.Workers {
		fmt.Printf("worker %s in %s at %s: %s, epoch %d\n", worker.Id, worker.Cloud, worker.Address, worker.Status, worker.Epoch)
	}
}
