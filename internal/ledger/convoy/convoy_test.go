package convoy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type job struct {
	number int
	alone  bool
	ran    atomic.Int64
}

// halted is a convoy whose groups wait until they are let go.
type halted struct {
	Convoy[*job]
	let    chan struct{}
	groups [][]int
}

func newHalted(most int) *halted {
	h := &halted{let: make(chan struct{})}
	h.Max, h.Alone = most, func(j *job) bool { return j.alone }
	h.Lead = func(_ context.Context, group []*job) {
		<-h.let
		var numbers []int
		for _, j := range group {
			j.ran.Add(1)
			numbers = append(numbers, j.number)
		}
		h.groups = append(h.groups, numbers)
	}
	return h
}

// come lets callers join one after the other.
func (h *halted) come(t *testing.T, jobs ...*job) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, j := range jobs {
		all.Go(func() {
			if err := h.Run(t.Context(), j); err != nil {
				t.Errorf("job %d: %v", j.number, err)
			}
		})
		synctest.Wait()
	}
	return &all
}

func numbered(alone ...bool) []*job {
	jobs := make([]*job, len(alone))
	for i := range jobs {
		jobs[i] = &job{number: i, alone: alone[i]}
	}
	return jobs
}

func TestWhoComesMeanwhileSharesTheNextGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHalted(3)
		jobs := numbered(false, false, false, true, false, false, false, false)
		all := h.come(t, jobs...)
		close(h.let)
		all.Wait()
		want := [][]int{{0}, {1, 2}, {3}, {4, 5, 6}, {7}}
		if len(h.groups) != len(want) {
			t.Fatalf("groups are %v, want %v", h.groups, want)
		}
		for i := range want {
			if len(h.groups[i]) != len(want[i]) || h.groups[i][0] != want[i][0] {
				t.Errorf("groups are %v, want %v", h.groups, want)
			}
		}
		for _, j := range jobs {
			if j.ran.Load() != 1 {
				t.Errorf("job %d ran %d times", j.number, j.ran.Load())
			}
		}
	})
}

func TestWhoLeavesBeforeHisTurnIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHalted(9)
		first := h.come(t, &job{})
		ctx, cancel := context.WithCancel(t.Context())
		impatient, patient := &job{number: 1}, &job{number: 2}
		left := make(chan error, 1)
		go func() { left <- h.Run(ctx, impatient) }()
		synctest.Wait()
		second := h.come(t, patient)
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) || impatient.ran.Load() != 0 {
			t.Errorf("error %v, ran %d times", err, impatient.ran.Load())
		}
		close(h.let)
		first.Wait()
		second.Wait()
		if err := h.Run(ctx, impatient); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v of a caller who had left before", err)
		}
	})
}

func TestWhoseJobRunsAlreadyHearsItsOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHalted(9)
		ctx, cancel := context.WithCancel(t.Context())
		own := &job{}
		over := make(chan error, 1)
		go func() { over <- h.Run(ctx, own) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(h.let)
		if err := <-over; err != nil || own.ran.Load() != 1 {
			t.Errorf("error %v, ran %d times; want it run", err, own.ran.Load())
		}
	})
}

func TestAStoppedConvoyRunsNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHalted(9)
		first := h.come(t, &job{})
		waits := &job{number: 1}
		over := make(chan error, 1)
		go func() { over <- h.Run(t.Context(), waits) }()
		synctest.Wait()
		errDead := errors.New("dead")
		if before := h.Stop(errDead); before != nil {
			t.Errorf("stopped before for %v", before)
		}
		if before := h.Stop(errors.New("again")); !errors.Is(before, errDead) || !errors.Is(h.Err(), errDead) {
			t.Errorf("stopped before for %v, now %v", before, h.Err())
		}
		close(h.let)
		first.Wait()
		if err := <-over; !errors.Is(err, errDead) || waits.ran.Load() != 0 {
			t.Errorf("error %v, ran %d times; want it left alone", err, waits.ran.Load())
		}
		if err := h.Run(t.Context(), waits); !errors.Is(err, errDead) {
			t.Errorf("error %v after the end", err)
		}
	})
}

func TestACrowdIsRunOnceEach(t *testing.T) {
	var running atomic.Int64
	c := &Convoy[*job]{Max: 16, Lead: func(_ context.Context, group []*job) {
		if running.Add(1) != 1 {
			t.Error("two groups at once")
		}
		for _, j := range group {
			j.ran.Add(1)
		}
		running.Add(-1)
	}}
	var crowd sync.WaitGroup
	for range 64 {
		crowd.Go(func() {
			for range 200 {
				j := &job{}
				if err := c.Run(t.Context(), j); err != nil || j.ran.Load() != 1 {
					t.Errorf("error %v, ran %d times", err, j.ran.Load())
				}
			}
		})
	}
	crowd.Wait()
}

func TestAPanicEndsTheConvoyAndNobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		c := &Convoy[*job]{Max: 2, Lead: func(_ context.Context, group []*job) {
			if group[0].number == 0 {
				<-let
				return
			}
			panic("a rule's")
		}}
		jobs := numbered(false, false, false, false)
		panicked, told := make([]any, len(jobs)), make([]error, len(jobs))
		var all sync.WaitGroup
		for i, j := range jobs { // 0; 1 leads 2 and panics; 3 waits for them
			all.Go(func() {
				defer func() { panicked[i] = recover() }()
				told[i] = c.Run(t.Context(), j)
			})
			synctest.Wait()
		}
		close(let)
		all.Wait()
		for i, want := range []struct {
			panics bool
			err    error
		}{{}, {panics: true}, {err: ErrPanicked}, {err: ErrPanicked}} {
			if got := panicked[i] != nil; got != want.panics || !errors.Is(told[i], want.err) {
				t.Errorf("job %d: panicked %v, error %v; want %+v", i, panicked[i], told[i], want)
			}
		}
		if err := c.Run(t.Context(), &job{}); !errors.Is(err, ErrPanicked) || !errors.Is(c.Err(), ErrPanicked) {
			t.Errorf("error %v after the panic, want %v", err, ErrPanicked)
		}
	})
}
