package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"github.com/doorbuster/doorbuster/internal/admin"
	"github.com/doorbuster/doorbuster/internal/config"
)

// Run serves until ctx ends, then drains: what is in flight is finished,
// flushed, and the folder given back. A ledger that can no longer be trusted
// ends it at once, with an error, whenever that is found out: while buyers are
// served, while they are seen out, or when the last write is brought to the disk.
func (n *Node) Run(ctx context.Context) error {
	n.sayDoubts(ctx)
	crew := muster(ctx, n.walkers())
	served, buyers, operators := n.openDoors(ctx)
	defer buyers()
	defer operators()
	n.greet()

	err := n.watch(ctx, crew, served)
	n.draining.Store(true)
	if errors.Is(err, errFatal) { // nothing that is in memory may be believed any more
		return err
	}
	n.options.Log.Info("stopping: no new buyers; what is in flight is finished")
	buyers()
	if err = errors.Join(err, n.drain(served, operators)); errors.Is(err, errFatal) {
		return err
	}
	crew.stop()
	if died := n.died(); died != nil {
		return errors.Join(err, died)
	}
	return errors.Join(err, n.Close())
}

// sayDoubts logs what the operator should know of the settings.
func (n *Node) sayDoubts(ctx context.Context) {
	c := n.options.Config
	for _, doubt := range c.Doubts() {
		n.options.Log.Warn(doubt)
	}
	if c.Payments != config.Sandbox || c.PlayMoney() != "" {
		return
	}
	level := slog.LevelWarn
	if _, chosen := c.Given("payments"); chosen {
		level = slog.LevelInfo
	}
	n.options.Log.Log(ctx, level, "payments are a sandbox: nobody pays real money; --payments none leaves them to the shop's own cashier")
}

// doors hold what each door's Serve returned.
type doors struct{ buyers, operators chan error }

// openDoors serves at both doors until each is told to close. The operators'
// stays open while buyers are seen out: /readyz there says why.
func (n *Node) openDoors(ctx context.Context) (served doors, closeBuyers, closeOperators context.CancelFunc) {
	buyers, closeBuyers := context.WithCancel(ctx)
	operators, closeOperators := context.WithCancel(context.WithoutCancel(ctx))
	served = doors{make(chan error, 1), make(chan error, 1)}
	go func() { served.buyers <- n.door.Serve(buyers, n.buyers) }()
	go func() { served.operators <- n.admin.Serve(operators, n.operators) }()
	return served, closeBuyers, closeOperators
}

// errFatal says that the ledger's state on disk is not known.
var errFatal = errors.New("the ledger cannot be trusted to have written; start again to read what is on disk")

// fatal is what Run returns of a ledger that stopped because of err.
func fatal(err error) error { return fmt.Errorf("%w: %w", errFatal, err) }

// died returns why the ledger has stopped; nil: it has not.
func (n *Node) died() error {
	select {
	case err := <-n.ledger.Fatal():
		return fatal(err)
	default:
		return nil
	}
}

// watch waits for a reason to stop.
func (n *Node) watch(ctx context.Context, crew *crew, served doors) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-n.ledger.Fatal():
		return fatal(err)
	case err := <-crew.failed:
		return err
	case err := <-served.buyers:
		served.buyers <- http.ErrServerClosed // for drain
		if told(ctx) {                        // the door was quicker to hear of it
			return nil
		}
		return fmt.Errorf("the buyers' door closed: %w", err)
	case err := <-served.operators:
		served.operators <- http.ErrServerClosed
		return fmt.Errorf("the operators' door closed: %w", err)
	}
}

// told reports whether the node was told to stop.
func told(ctx context.Context) bool { return ctx.Err() != nil }

// drain waits for the buyers' door to finish what is in flight, and closes the
// operators' after it.
func (n *Node) drain(served doors, closeOperators func()) error {
	timer := time.NewTimer(drainMax)
	defer timer.Stop()
	var faults []error
	for _, door := range []chan error{served.buyers, served.operators} {
		select {
		case err := <-door:
			if !errors.Is(err, http.ErrServerClosed) {
				faults = append(faults, err)
			}
		case err := <-n.ledger.Fatal():
			return fatal(err)
		case <-timer.C:
			return fmt.Errorf("some requests were still open after %s", drainMax)
		}
		closeOperators()
	}
	return errors.Join(faults...)
}

// walkers are all that walks the road, each under the name it is reported by.
func (n *Node) walkers() map[string]walker {
	all := map[string]walker{
		"herald": n.herald, "lists": n.lists, "sweeper": n.sweeper, "expirer": n.expirer, "auditor": n.auditor,
		"pressure": n.pressure,
	}
	for i := range workers {
		all[fmt.Sprintf("worker %d", i)] = n.worker
	}
	maps.Copy(all, n.engines)
	if n.gossip != nil {
		all["gossip"] = n.gossip
	}
	for name, office := range map[string]office{"supply office": n.supplyOffice, "expiry office": n.expiryOffice} {
		if office != nil {
			all[name] = office
		}
	}
	if n.sandbox != nil {
		all["sandbox"] = n.sandbox
	}
	if n.jwks != nil {
		all["buyers' keys"] = n.jwks
	}
	return all
}

// greet tells the person who started the node where to go.
func (n *Node) greet() {
	c := n.options.Config
	buyers, operators := "http://"+n.buyers.Addr().String(), "http://"+n.operators.Addr().String()
	where := c.Data
	if !c.Embedded() {
		where = "its database"
	}
	_, _ = fmt.Fprintf(n.options.Stdout, "doorbuster %s serves from %s\n", n.options.Version, where)
	for _, notice := range n.board.Notices() {
		_, _ = fmt.Fprintf(n.options.Stdout, "  sale       %s/s/%s  (%s)\n", buyers, notice.Sale.ID, notice.Phase)
	}
	_, _ = fmt.Fprintf(n.options.Stdout, "  buyers     %s\n  operators  %s\n", buyers, operators)
	if c.AdminTokenFile != "" {
		_, _ = fmt.Fprintf(n.options.Stdout, "  token      in %s\n", c.AdminTokenFile)
	}
}

// ready reports whether a balancer should send buyers here.
func (n *Node) ready() bool {
	ready, _ := n.health()
	return ready
}

// health says whether the node is ready, and if not, why.
func (n *Node) health() (bool, []string) {
	var reasons []string
	if n.draining.Load() {
		reasons = append(reasons, "stopping")
	}
	if deaf := n.herald.Deaf(); deaf != "" {
		reasons = append(reasons, "the ledger does not answer: "+deaf)
	}
	if no := n.board.Suspended(); no != nil {
		reasons = append(reasons, "selling is suspended: "+no.Detail)
	}
	for _, notice := range n.board.Notices() {
		switch {
		case notice.Halted != "":
			reasons = append(reasons, "sale "+notice.Sale.ID+": "+notice.Halted)
		case !notice.Supplied:
			reasons = append(reasons, "sale "+notice.Sale.ID+": not in its phase or not supplied yet")
		}
	}
	if step := n.expirer.Step(); n.expirer.Paused() {
		reasons = append(reasons, fmt.Sprintf("the clock was set forward by %s: nothing expires until it is believed", step))
	}
	return len(reasons) == 0, reasons
}

func (n *Node) adminHealth() admin.Health {
	ready, reasons := n.health()
	return admin.Health{Ready: ready, Reasons: reasons, Warnings: n.warns()}
}
