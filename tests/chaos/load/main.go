// chaosload - clients, watchers and workers of a cluster in which everything fails, and the history of what they were told.
//
// Each client's operations go to DIR/clients.jsonl, what each watcher sees to DIR/watch-N.jsonl, the workers' leases to
// DIR/workers.jsonl. It prints "ready" once the watchers watch, writes until SIGTERM, and then ends what is under way.
package main

//go:generate protoc -I ../../../proto --go_out=. --go_opt=module=baton --go-grpc_out=. --go-grpc_opt=module=baton baton/v1/options.proto baton/v1/raft.proto baton/v1/control.proto baton/v1/worker.proto

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/credentials/insecure"
)

const (
	patience   = 60 * time.Second // for what is under way at the end
	watchAfter = 3 * time.Second  // the watchers go on, to see the last writes
	watcherSum = 6                // three of all keys and three of some
)

func fatal(format string, words ...any) {
	fmt.Fprintf(os.Stderr, "chaosload: "+format+"\n", words...)
	os.Exit(1)
}

type options struct {
	endpoints, certs, out     string
	clients, readers, workers int
	rate                      float64
	seed                      uint64
	era                       time.Duration
	etcd                      bool
}

func readOptions() options {
	var o options
	flag.StringVar(&o.endpoints, "endpoints", "", "the nodes' addresses, with commas")
	flag.StringVar(&o.certs, "certs", "", "the directory of operator.pem, worker.pem, their keys, and ca.pem")
	flag.StringVar(&o.out, "out", ".", "where the histories go")
	flag.IntVar(&o.clients, "clients", 100, "clients that write")
	flag.IntVar(&o.readers, "readers", 36, "clients that read")
	flag.IntVar(&o.workers, "workers", 50, "workers")
	flag.Float64Var(&o.rate, "rate", 1000, "writes a second, of all clients together")
	flag.Uint64Var(&o.seed, "seed", 1, "of what they do")
	flag.DurationVar(&o.era, "era", 30*time.Second, "how long keys are in use")
	flag.BoolVar(&o.etcd, "etcd", false, "the nodes are etcd's")
	flag.Parse()
	return o
}

// load is everything that runs.
type load struct {
	options
	operators, forWorkers *cluster
	keys                  *keyspace
	journals              []*journal
}

func (l *load) journal(name string) *journal {
	opened, err := openJournal(l.out, name)
	if err != nil {
		fatal("%v", err)
	}
	l.journals = append(l.journals, opened)
	return opened
}

func (l *load) rng(number int) *rand.Rand { return rand.New(rand.NewPCG(l.seed, uint64(number))) }

func (l *load) connect() {
	addresses := strings.Split(l.endpoints, ",")
	if l.etcd {
		l.operators = newCluster(addresses, insecure.NewCredentials())
		return
	}
	for role, c := range map[string]**cluster{"operator": &l.operators, "worker": &l.forWorkers} {
		file := func(name string) string { return filepath.Join(l.certs, name) }
		transport, err := readCredentials(file(role+".pem"), file(role+"-key.pem"), file("ca.pem"))
		if err != nil {
			fatal("%v", err)
		}
		*c = newCluster(addresses, transport)
	}
}

// watch begins all watchers, and returns once each has begun.
func (l *load) watch(ctx context.Context, group *sync.WaitGroup) {
	for number := range watcherSum {
		prefix := "g"
		if number >= watcherSum/2 {
			prefix = fmt.Sprintf("g%d", number)
		}
		w := &watcher{prefix: prefix, first: number, cluster: l.operators, out: l.journal(fmt.Sprintf("watch-%d.jsonl", number)),
			ready: make(chan struct{})}
		w.stream = w.streamBaton
		if l.etcd {
			w.stream = w.streamEtcd
		}
		group.Go(func() { w.run(ctx) })
		<-w.ready
	}
}

// begin starts the clients; they run until `over`, and what they wait for then until `last`.
func (l *load) begin(over, last context.Context, group *sync.WaitGroup) {
	history, leases := l.journal("clients.jsonl"), l.journal("workers.jsonl")
	period := time.Duration(float64(l.clients) / l.rate * float64(time.Second))
	for number := range l.clients {
		w := &writer{number: number, name: fmt.Sprintf("chaos-%d-%03d", l.seed, number), cluster: l.operators, keys: l.keys,
			rng: l.rng(number), out: history}
		w.attempt = w.attemptBaton
		if l.etcd {
			w.attempt = w.attemptEtcd
		}
		group.Go(func() { w.run(over, last, period) })
	}
	for number := range l.readers {
		how := []string{"leader", "follower", "stale"}[number%3]
		r := &reader{number: l.clients + number, how: how, cluster: l.operators, keys: l.keys, rng: l.rng(l.clients + number), out: history}
		r.ask = r.askBaton
		if l.etcd {
			r.ask = r.askEtcd
		}
		group.Go(func() { r.run(over, 80*time.Millisecond) })
	}
	if l.etcd {
		return // it has no workers
	}
	for number := range l.workers {
		w := newWorker(number, l.operators, l.forWorkers, l.rng(-1-number), leases)
		group.Go(func() { w.run(over) })
	}
}

func main() {
	l := &load{options: readOptions()}
	l.keys = newKeyspace(l.era)
	l.connect()
	over, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	last, give := context.WithCancel(context.Background())
	seeing, blind := context.WithCancel(context.Background())
	if !l.etcd {
		go l.operators.follow(seeing)
	}
	var watchers, clients sync.WaitGroup
	l.watch(seeing, &watchers)
	l.begin(over, last, &clients)
	fmt.Println("ready")
	<-over.Done()
	impatient := time.AfterFunc(patience, give)
	clients.Wait()
	impatient.Stop()
	give()
	pause(seeing, watchAfter)
	blind()
	watchers.Wait()
	for _, each := range l.journals {
		each.close()
	}
}
