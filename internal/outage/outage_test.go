package outage

import (
	"errors"
	"testing"
)

var errAway = errors.New("away")

func TestAnOutageBeginsOnceAndEndsOnce(t *testing.T) {
	var w Watch
	began, ended := 0, 0
	for _, err := range []error{nil, errAway, errAway, errors.New("still away"), nil, nil, errAway} {
		b, e := w.Note(err)
		if b {
			began++
		}
		if e {
			ended++
		}
	}
	if began != 2 || ended != 1 {
		t.Errorf("%d began and %d ended, want 2 and 1", began, ended)
	}
}

func TestAGroupsOutageBeginsWithTheFirstAndEndsWithTheLast(t *testing.T) {
	var g Group[string]
	for i, step := range []struct {
		key          string
		err          error
		began, ended bool
	}{
		{"a", nil, false, false},
		{"a", errAway, true, false},
		{"b", errAway, false, false},
		{"a", errAway, false, false},
		{"a", nil, false, false},
		{"c", nil, false, false},
		{"b", nil, false, true},
		{"b", errAway, true, false},
	} {
		if began, ended := g.Note(step.key, step.err); began != step.began || ended != step.ended {
			t.Errorf("step %d: began %v, ended %v", i, began, ended)
		}
	}
}
