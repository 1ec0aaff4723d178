package gate

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/shop"
)

func TestChallengesGetHarderAtOnceAndEasierByTheSecond(t *testing.T) {
	var p Difficulty
	second := func(n int) int64 { return testNow + int64(n)*int64(time.Second) }
	note := func(n, orders int) {
		for range orders {
			p.Note(second(n))
		}
	}
	for _, step := range []struct {
		name         string
		second, more int
		want         int
	}{
		{"nobody yet", 0, 0, 0},
		{"a crowd that one machine serves", 0, difficultyStep - 1, 0},
		{"one more", 0, 1, 1},
		{"not quite twice as many", 0, difficultyStep - 1, 1},
		{"twice as many", 0, 1, 2},
		{"any number", 0, 5 * difficultyStep, LevelMax},
		{"the next second, in which nobody came yet", 1, 0, 1},
		{"a crowd as large as before", 1, 2 * difficultyStep, 2},
		{"a second look at it", 1, 0, 2},
		{"a quieter second", 2, 10, 1},
		{"and one more", 3, 10, 0},
		{"a rush after rest", 60, 2 * difficultyStep, 2},
		{"long after", 600, 0, 0},
		{"a clock that was set back", 599, 1, 0},
	} {
		note(step.second, step.more)
		if got := p.Level(second(step.second)); got != step.want {
			t.Errorf("%s: level %d, want %d", step.name, got, step.want)
		}
	}
}

func TestPressureLosesNoOrderOfManyCallers(t *testing.T) {
	var p Difficulty
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range difficultyStep / 8 {
				p.Note(testNow)
			}
		})
	}
	callers.Wait()
	if got := p.Level(testNow); got != 1 {
		t.Errorf("level %d after %d orders, want 1", got, difficultyStep)
	}
}

func TestWhoIsChallengedIsTheSalesToSay(t *testing.T) {
	bot := NewSuspicion(false, testNow)
	metronome(&Gate{Suspicion: bot}, "bot", time.Second, evenRun+1)
	for _, c := range []struct {
		mode, buyer string
		suspicion   *Suspicion
		want        bool
	}{
		{shop.ChallengeNever, "bot", bot, false},
		{"", "bot", bot, false},
		{shop.ChallengeSuspicious, "bot", bot, true},
		{shop.ChallengeSuspicious, "ada", bot, false},
		{shop.ChallengeSuspicious, "bot", nil, false},
		{shop.ChallengeAlways, "ada", nil, true},
	} {
		gate := &Gate{Suspicion: c.suspicion}
		attempt := try(c.buyer, testNow+int64((evenRun+1)*time.Second))
		attempt.Sale = &shop.Sale{ID: "s", Challenge: c.mode}
		if got := gate.Challenges(attempt); got != c.want {
			t.Errorf("%s for %s: %v, want %v", c.mode, c.buyer, got, c.want)
		}
	}
}

func TestWhatIsNotSolvedIsCounted(t *testing.T) {
	gate := &Gate{Challenger: newAltcha(t, seeded{})}
	task := testTask()
	proof := proofOf(t, pose(t, newAltcha(t, seeded{counter: 3}), task).solve(t))
	for range 2 {
		for _, c := range []struct {
			proof []byte
			want  bool
		}{{nil, false}, {[]byte("solved"), false}, {proof, true}} {
			if got, err := gate.Solved(t.Context(), task, c.proof); got != c.want || err != nil {
				t.Errorf("%.20s: %v, %v; want %v", c.proof, got, err, c.want)
			}
		}
	}
	if got := gate.Counts.byReason[Unsolved].Load(); got != 4 {
		t.Errorf("%d counted as unsolved, want 4", got)
	}
	gate.Challenger = nobodyKnows{}
	if ok, err := gate.Solved(t.Context(), task, proof); ok || err == nil {
		t.Errorf("got %v, %v; want the challenger's fault", ok, err)
	}
}

// nobodyKnows is a challenger whose judge does not answer.
type nobodyKnows struct{ Challenger }

// Solved implements Challenger.
func (nobodyKnows) Solved(context.Context, Task, []byte) (bool, error) {
	return false, errors.New("no answer")
}
