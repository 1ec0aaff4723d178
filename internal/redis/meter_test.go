package redis

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/gate/gatetest"
)

func TestMeter(t *testing.T) {
	either(t, func(t *testing.T, url string) {
		gatetest.RunMeter(t, func(t *testing.T, rate gate.Rate) gate.Meter {
			meter := open(t, url).Meter(rate)
			meter.patience = time.Minute // the machine may be busy
			return meter
		})
	})
}

func TestNodesCountABuyersOrdersTogether(t *testing.T) {
	either(t, func(t *testing.T, url string) {
		own := options(url)
		var passed atomic.Int64
		var nodes sync.WaitGroup
		for range 3 {
			client, err := Open(t.Context(), own)
			must(t, err)
			t.Cleanup(client.Close)
			meter := client.Meter(gate.Rate{PerSecond: 0.1, Burst: 40})
			meter.patience = time.Minute // the machine may be busy
			nodes.Go(func() {
				for range 40 {
					wait, err := meter.Take(t.Context(), "ann", time.Now().UnixNano())
					if err != nil {
						t.Errorf("take: %v", err)
					} else if wait == 0 {
						passed.Add(1)
					}
				}
			})
		}
		nodes.Wait()
		if got := passed.Load(); got != 40 {
			t.Errorf("%d orders passed at three nodes, want 40", got)
		}
		other := open(t, url).Meter(gate.Rate{PerSecond: 0.1, Burst: 1}) // another ledger's
		other.patience = time.Minute
		if wait, err := other.Take(t.Context(), "ann", time.Now().UnixNano()); err != nil || wait != 0 {
			t.Errorf("at another shop: wait %s, %v; want none", wait, err)
		}
	})
}

// What Redis keeps of a buyer goes by itself: there are no more keys than orders
// in the time of a burst.
func TestBuyersAreForgottenInTime(t *testing.T) {
	server := ownRedis(t)
	meter := open(t, server.URL()).Meter(gate.Rate{PerSecond: 10, Burst: 2})
	meter.patience = time.Minute // the machine may be busy
	for i := range 500 {
		_, err := meter.Take(t.Context(), fmt.Sprint("buyer-", i), time.Now().UnixNano())
		must(t, err)
	}
	size := func() string {
		text, err := server.Do(t.Context(), "DBSIZE")
		must(t, err)
		return strings.TrimSpace(text)
	}
	if got := size(); got == "0" {
		t.Error("Redis keeps nothing, want some of 500 buyers")
	}
	eventually(t, 10*time.Second, func() error {
		if got := size(); got != "0" {
			return fmt.Errorf("%s keys are left", got)
		}
		return nil
	})
}

// Security line 4: a Redis that stands still holds nobody up for long.
func TestAMeterThatIsNotAnsweredRests(t *testing.T) {
	server := ownRedis(t)
	meter := open(t, server.URL()).Meter(gate.Rate{PerSecond: 10, Burst: 2})
	now := time.Now().UnixNano()
	must(t, server.Freeze())
	defer func() { must(t, server.Thaw()) }()
	began := time.Now()
	for i := range 100 {
		if _, err := meter.Take(t.Context(), fmt.Sprint("buyer-", i), now); err == nil {
			t.Error("an answer of a Redis that stands still")
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("100 orders were held up for %s, want one call's time", took)
	}
	must(t, server.Thaw())
	eventually(t, 10*time.Second, func() error {
		_, err := meter.Take(t.Context(), "ann", now+int64(meterRest)+1)
		return err
	})
}
