package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	groups       = 60
	keysPerGroup = 4
)

// keyspace is the keys in use. They change from era to era, so that each key's history is short enough to be judged whole,
// and what was written long ago stays to be compared at the end.
type keyspace struct {
	era  time.Duration
	lock sync.Mutex
	seen map[string]uint64 // the last revision that some client was told
	last string            // the key of the last write that was acknowledged; "" at first
}

func newKeyspace(era time.Duration) *keyspace { return &keyspace{era: era, seen: map[string]uint64{}} }

func (k *keyspace) prefix(rng *rand.Rand) string {
	return fmt.Sprintf("g%02d/e%04d/", rng.IntN(groups), int(time.Since(began)/k.era))
}

func (k *keyspace) key(rng *rand.Rand) string {
	return fmt.Sprintf("%sk%d", k.prefix(rng), rng.IntN(keysPerGroup))
}

// keyToRead is any, or the one just written: whoever leads no more, and answers, has the old value of that.
func (k *keyspace) keyToRead(rng *rand.Rand) string {
	k.lock.Lock()
	last := k.last
	k.lock.Unlock()
	if last != "" && rng.IntN(2) == 0 {
		return last
	}
	return k.key(rng)
}

func (k *keyspace) acknowledged(key string) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.last = key
}

func (k *keyspace) learn(key string, revision uint64) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if revision > k.seen[key] {
		k.seen[key] = revision
	}
}

func (k *keyspace) known(key string) uint64 {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.seen[key]
}
