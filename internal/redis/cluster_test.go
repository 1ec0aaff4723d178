package redis

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/servers"
	"github.com/doorbuster/doorbuster/internal/shop"
	"github.com/doorbuster/doorbuster/internal/stock"
)

func (c *Client) askIn(tb testing.TB, bucket shop.Bucket, n int) (stock.Answer, error) {
	tb.Helper()
	answers, err := c.Stock().Reserve(tb.Context(), bucket, []stock.Ask{ask(n)}, nil)
	if err != nil {
		return stock.Answer{}, err
	}
	return answers[0], nil
}

func TestThreeBucketsHaveThreeMasters(t *testing.T) {
	cluster := oneCluster(t)
	c := open(t, cluster.URL())
	if c.Masters() != 3 {
		t.Errorf("%d masters, want 3", c.Masters())
	}
	served := map[*servers.Redis]bool{}
	for number := range 3 {
		master, err := cluster.Master(t.Context(), int(slotOf(number)))
		must(t, err)
		served[master] = true
	}
	if len(served) != 3 {
		t.Errorf("three buckets on %d masters", len(served))
	}
}

func TestAMastersDeathTakesItsBucketsOnly(t *testing.T) {
	cluster := oneCluster(t)
	c := open(t, cluster.URL())
	buckets := []shop.Bucket{{Sale: "drop"}, {Sale: "drop", Number: 1}, {Sale: "drop", Number: 2}}
	for _, bucket := range buckets {
		c.stock(t, bucket, 1, 1000)
		_, err := c.askIn(t, bucket, 0)
		must(t, err)
	}
	victim, err := cluster.Master(t.Context(), int(slotOf(0)))
	must(t, err)
	eventually(t, 20*time.Second, func() error { return copied(t, victim) }) // what a replica lacks is lost, and is another test's
	must(t, victim.Kill())
	died := time.Now()
	var others sync.WaitGroup
	for _, bucket := range buckets[1:] {
		others.Go(func() {
			for n := 1; n < 200; n++ {
				began := time.Now()
				if _, err := c.askIn(t, bucket, n); err != nil {
					t.Errorf("%s after another master's death: %v", bucket, err)
				}
				if took := time.Since(began); took > 500*time.Millisecond {
					t.Errorf("%s took %s after another master's death", bucket, took)
				}
			}
		})
	}
	others.Wait()
	late := open(t, cluster.URL()) // a node that starts meanwhile
	if late.Masters() != 3 {
		t.Errorf("%d masters while one is dead, want 3", late.Masters())
	}
	_, err = late.Stock().Shelf(t.Context(), shop.Bucket{Sale: "drop", Number: 1})
	if !errors.Is(err, stock.ErrUnknown) { // its own ledger's
		t.Errorf("error is %v, want %v", err, stock.ErrUnknown)
	}
	eventually(t, 20*time.Second, func() error {
		answer, err := c.askIn(t, buckets[0], 1)
		if err == nil && answer.Outcome == stock.Unknown {
			t.Fatal("the replica had nothing")
		}
		return err
	})
	t.Logf("back after %s", time.Since(died).Round(time.Millisecond))
	// A node that starts while the dead one is still dead is not refused because
	// the promoted replica has none.
	if warnings := open(t, cluster.URL()).Warnings(); !strings.Contains(strings.Join(warnings, "\n"), "while a node of the cluster is dead") {
		t.Errorf("the warnings are %q, want one of the dead node", warnings)
	}
	must(t, victim.Start(t.Context()))
	must(t, cluster.Ready(t.Context()))
}

// copied says that a replica has all that its master has.
func copied(t *testing.T, master *servers.Redis) error {
	t.Helper()
	said, err := master.Do(t.Context(), "INFO", "replication")
	must(t, err)
	has := regexp.MustCompile(`(?s)slave0:[^\r\n]*offset=(\d+).*master_repl_offset:(\d+)`).FindStringSubmatch(said)
	if has == nil || has[1] != has[2] {
		return fmt.Errorf("the replica lacks something: %s", said)
	}
	return nil
}

func TestAFrozenMasterHoldsItsBucketsOnly(t *testing.T) {
	cluster := oneCluster(t)
	c := open(t, cluster.URL())
	buckets := []shop.Bucket{{Sale: "drop"}, {Sale: "drop", Number: 1}, {Sale: "drop", Number: 2}}
	q := c.run1(t, QueueOptions{Name: "one", Buckets: func() []shop.Bucket { return buckets }})
	for _, bucket := range buckets {
		c.stock(t, bucket, 1, 1_000_000)
	}
	victim, err := cluster.Master(t.Context(), int(slotOf(1)))
	must(t, err)
	must(t, victim.Freeze())
	frozen := time.Now()
	n := 0
	for time.Since(frozen) < 3*time.Second { // past the failover
		n++
		for _, bucket := range []shop.Bucket{buckets[0], buckets[2]} {
			began := time.Now()
			_, err := c.askIn(t, bucket, n)
			must(t, err)
			got, _ := receive(t, q, 1)
			must(t, q.Ack(t.Context(), got))
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s took %s while another master was frozen", bucket, took)
			}
		}
	}
	t.Logf("%d reservations in each of the others", n)
	eventually(t, 20*time.Second, func() error {
		_, err := c.askIn(t, buckets[1], 0)
		return err
	})
	must(t, victim.Thaw())
	must(t, cluster.Ready(t.Context()))
}

// TestBucketsMoveWhileTheySell moves a bucket's slot from one master to
// another, key by key.
func TestBucketsMoveWhileTheySell(t *testing.T) {
	cluster := oneCluster(t)
	c := open(t, cluster.URL())
	bucket := shop.Bucket{Sale: "drop"}
	c.stock(t, bucket, 1, 10_000)
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			eventually(t, 5*time.Second, func() error {
				_, err := c.askIn(t, bucket, n)
				return err
			})
		}
	}()
	slot := int(slotOf(0))
	from, err := cluster.Master(t.Context(), slot)
	must(t, err)
	to, err := cluster.Master(t.Context(), (slot+slots/2)%slots)
	must(t, err)
	for _, there := range []*servers.Redis{to, from} {
		must(t, cluster.Move(t.Context(), slot, there))
		eventually(t, 5*time.Second, func() error { // the nodes tell each other
			now, err := cluster.Master(t.Context(), slot)
			if err == nil && now != there {
				err = fmt.Errorf("slot %d is at %s, want %s", slot, now.Address, there.Address)
			}
			return err
		})
	}
	close(stop)
	sold := <-stopped
	shelf := c.look(t, bucket)
	if shelf.Tickets != sold || shelf.Free["eu-42"] != int64(10_000-sold) {
		t.Errorf("%d tickets and %d free after %d reservations", shelf.Tickets, shelf.Free["eu-42"], sold)
	}
	t.Logf("%d reservations meanwhile", sold)
}
