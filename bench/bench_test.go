package main

import "testing"

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
	if _, err := choose("E9"); err == nil {
		t.Error("E9 was chosen; there is none")
	}
}
