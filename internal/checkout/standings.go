package checkout

import (
	"context"
	"sync"
	"time"

	"github.com/doorbuster/doorbuster/internal/ledger"
)

const (
	// standingFor is how long a standing is believed: the ledger is read at
	// most once per buyer and second.
	standingFor = time.Second
	// standingsMax bounds one generation of the cache, about 20 MB; past it the
	// older generation is dropped early.
	standingsMax = 1 << 16
)

// Standings is a bounded cache of what buyers have, for those who are told
// that they have enough.
type Standings struct {
	claims ledger.Claims
	now    func() time.Time

	mu         sync.Mutex
	young, old map[ledger.Holder]*standing
	turned     time.Time
}

type standing struct {
	once sync.Once
	at   time.Time
	ledger.Standing
	err error
}

// NewStandings returns an empty cache in front of claims.
func NewStandings(claims ledger.Claims, now func() time.Time) *Standings {
	return &Standings{claims: claims, now: now, young: map[ledger.Holder]*standing{}}
}

// Read returns what the buyer had within the last second. Callers who come at
// once share one reading.
func (s *Standings) Read(ctx context.Context, holder ledger.Holder) (ledger.Standing, error) {
	entry := s.entry(holder)
	entry.once.Do(func() {
		// Others share this reading: it must not end with the first caller.
		entry.Standing, entry.err = s.claims.Standing(context.WithoutCancel(ctx), holder.Sale, holder.Buyer)
	})
	if entry.err != nil {
		s.Forget(holder)
	}
	return entry.Standing, entry.err
}

func (s *Standings) entry(holder ledger.Holder) *standing {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= standingsMax || now.Sub(s.turned) >= standingFor {
		s.young, s.old, s.turned = map[ledger.Holder]*standing{}, s.young, now
	}
	entry, ok := s.young[holder]
	if !ok {
		entry, ok = s.old[holder]
	}
	if !ok || now.Sub(entry.at) >= standingFor {
		entry = &standing{at: now}
		s.young[holder] = entry
	}
	return entry
}

// Forget drops what is remembered of a buyer, because it changed.
func (s *Standings) Forget(holder ledger.Holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.young, holder)
	delete(s.old, holder)
}
