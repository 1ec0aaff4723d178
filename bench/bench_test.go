package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

func TestAMedianIsOfTheMiddle(t *testing.T) {
	for _, c := range []struct {
		of   spread
		want float64
	}{{nil, 0}, {spread{3}, 3}, {spread{9, 1, 2}, 2}, {spread{4, 1, 2, 9}, 3}} {
		if got := c.of.median(); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.of, got, c.want)
		}
	}
}

func TestAVerdictFollowsTheMedian(t *testing.T) {
	for _, c := range []struct {
		goal goal
		of   spread
		want string
	}{
		{atMost(1.4, "×"), spread{1.3, 1.4, 9}, "pass"},
		{atMost(1.4, "×"), spread{1, 1.41, 1.5}, "short"},
		{atLeast(0.7), spread{0.1, 0.7, 0.8}, "pass"},
		{atLeast(0.7), spread{0.69}, "short"},
		{atMost(0, "allocs"), spread{0, 0}, "pass"},
		{atMost(1, "s"), nil, "—"},
	} {
		l := line{goal: c.goal, value: c.of}
		if got := l.verdict(); got != c.want {
			t.Errorf("%s of %v: got %s, want %s", c.goal, c.of, got, c.want)
		}
	}
}

func TestOnlyRowsThatExistAreChosen(t *testing.T) {
	chosen, err := choose("e3, G1")
	if err != nil || len(chosen) != 2 || chosen[0].id != "E3" || chosen[1].id != "G1" {
		t.Errorf("got %v, %v; want E3 and G1", chosen, err)
	}
	if _, err := choose("E10"); err == nil {
		t.Error("E10 was chosen; there is none")
	}
}

// The bench's pages are the page's likeness, not its better.
func TestPagesPollAsThePageDoes(t *testing.T) {
	source, err := os.ReadFile("../web/buyer/poll.js")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]time.Duration{"fresh": pageFresh, "spread": pageSpread, "least": pageLeast} {
		if want := fmt.Sprintf("const %s = %d; // ms", name, value.Milliseconds()); !strings.Contains(string(source), want) {
			t.Errorf("web/buyer/poll.js does not say %q", want)
		}
	}
	if rule := "Math.max(least, model.copies > 1 && fresh + written, left < 1200 && left) + spread * Math.random()"; !strings.Contains(string(source), rule) {
		t.Errorf("web/buyer/poll.js does not have the rule of pagePause: %s", rule)
	}
}

// Ten thousand pages behind one cache, in virtual milliseconds: each hears of a
// change in time, the origin is asked once a second, and they do not ask as one.
func TestPagesBehindACacheHearInTimeAndSpread(t *testing.T) {
	const pages, end = 10_000, 60_000
	rng := rand.New(rand.NewPCG(1, 2))
	due := make([][]int, end+5000)
	behind, heard, copies := make([]int, pages), make([]int, pages), make([]int, pages)
	for i := range pages {
		behind[i] = math.MaxInt
		at := rng.IntN(1000)
		due[at] = append(due[at], i)
	}
	written, origin, most, worst := -1000, 0, 0, 0
	for i := range heard {
		heard[i] = written
	}
	for now := range end {
		most = max(most, len(due[now]))
		for _, i := range due[now] {
			if now-written >= int(cached.Milliseconds()) {
				written, origin = now, origin+1
			}
			if written > heard[i] { // a change just after the copy before is heard of now
				if copies[i] > 0 {
					worst = max(worst, now-heard[i])
				}
				heard[i], copies[i] = written, copies[i]+1
			}
			behind[i] = min(behind[i], now-written)
			age := time.Duration(now-written-behind[i]) * time.Millisecond
			at := now + int(pagePause(copies[i], age, rng.Float64()).Milliseconds())
			due[at] = append(due[at], i)
		}
	}
	t.Logf("a change is heard of within %d ms; the origin was asked %d times in %d s; at most %d pages ask within a millisecond", worst, origin, end/1000, most)
	if worst > 2000 {
		t.Errorf("a page heard of a change %d ms after it, want 2000 at most", worst)
	}
	if origin > 2*end/1000 {
		t.Errorf("the origin was asked %d times in %d s", origin, end/1000)
	}
	if most > pages/100 {
		t.Errorf("%d of %d pages ask within the same millisecond", most, pages)
	}
}
