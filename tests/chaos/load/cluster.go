package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	batonv1 "baton/gen/baton/v1"
)

const (
	lanes         = 4 // connections to each node
	attemptTime   = 2500 * time.Millisecond
	impatience    = 250 * time.Millisecond
	retryPause    = 60 * time.Millisecond
	refreshPeriod = 500 * time.Millisecond
)

// cluster is what the clients know of the nodes: their addresses, and who leads.
type cluster struct {
	credentials credentials.TransportCredentials
	lock        sync.Mutex
	addresses   []string
	leader      string
	connections map[string][]*grpc.ClientConn
}

// readCredentials reads the files for each connection again, as they are replaced meanwhile.
func readCredentials(cert, key, ca string) (credentials.TransportCredentials, error) {
	authority, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s has no certificate", ca)
	}
	return credentials.NewTLS(&tls.Config{
		RootCAs: pool,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		},
	}), nil
}

func newCluster(addresses []string, transport credentials.TransportCredentials) *cluster {
	return &cluster{
		credentials: transport,
		addresses:   slices.Clone(addresses),
		connections: map[string][]*grpc.ClientConn{},
	}
}

// connection gives one of the connections to a node; they connect by themselves, again and again.
func (c *cluster) connection(address string, lane int) *grpc.ClientConn {
	c.lock.Lock()
	defer c.lock.Unlock()
	for len(c.connections[address]) < lanes {
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(c.credentials),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 300 * time.Millisecond},
				MinConnectTimeout: time.Second,
			}),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 2 * time.Second}))
		if err != nil {
			fatal("%s: %v", address, err)
		}
		c.connections[address] = append(c.connections[address], conn)
	}
	return c.connections[address][lane%lanes]
}

func (c *cluster) control(address string, lane int) batonv1.ControlServiceClient {
	return batonv1.NewControlServiceClient(c.connection(address, lane))
}

func (c *cluster) members() []string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return slices.Clone(c.addresses)
}

// target is whom to ask: the leader if known, or else each member in turn.
func (c *cluster) target(turn int) string {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.leader != "" {
		return c.leader
	}
	return c.addresses[turn%len(c.addresses)]
}

func (c *cluster) lead(address string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.leader = address
}

// doubt forgets a leader that did not answer, unless another is known by now.
func (c *cluster) doubt(address string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.leader == address {
		c.leader = ""
	}
}

// follow keeps the addresses those of the newest configuration that a node tells of: members are replaced meanwhile.
func (c *cluster) follow(ctx context.Context) {
	var newest uint64
	for ctx.Err() == nil {
		for _, address := range c.members() {
			attempt, cancel := context.WithTimeout(ctx, refreshPeriod)
			status, err := c.control(address, 0).Status(attempt, &batonv1.StatusRequest{})
			cancel()
			if err != nil || status.ConfigurationIndex < newest || len(status.Members) == 0 {
				continue
			}
			newest = status.ConfigurationIndex
			var found []string
			for _, member := range status.Members {
				found = append(found, member.Address)
			}
			c.lock.Lock()
			c.addresses = found
			c.lock.Unlock()
		}
		pause(ctx, refreshPeriod)
	}
}

func pause(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}
