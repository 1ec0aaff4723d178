package gate

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/doorbuster/doorbuster/internal/gate/altchatest"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// seeded yields the same nonce, salt and counter for ever.
type seeded struct{ counter uint32 }

func (s seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	binary.BigEndian.PutUint32(p[2*altchaNonceSize:], s.counter)
	return len(p), nil
}

var rootKey = NewSecret(bytes.Repeat([]byte("r"), shop.RootKeyMin)) //nolint:gochecknoglobals // a constant, if Go had such

func newAltcha(t testing.TB, random io.Reader) *Altcha {
	t.Helper()
	a, err := NewAltcha(rootKey, random)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func testTask() Task {
	return Task{Claim: shop.ClaimID{1, 2, 3, 15: 9}, Now: time.Unix(testNow/int64(time.Second), 0)}
}

// posed is a challenge as a page reads it.
type posed struct {
	Parameters map[string]any `json:"parameters"`
	Signature  string         `json:"signature"`
}

func pose(t testing.TB, a *Altcha, task Task) posed {
	t.Helper()
	text, err := a.Pose(nil, task)
	if err != nil {
		t.Fatal(err)
	}
	var p posed
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return p
}

// solve returns what a page makes of it, to be changed before it is sent.
func (p posed) solve(t testing.TB) (payload map[string]any) {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := altchatest.Solve(text)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = base64.StdEncoding.DecodeString(proof); err == nil {
		err = json.Unmarshal(text, &payload)
	}
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func proofOf(t testing.TB, payload any) []byte {
	t.Helper()
	text, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(base64.StdEncoding.EncodeToString(text))
}

func solved(t testing.TB, a *Altcha, task Task, proof []byte) bool {
	t.Helper()
	ok, err := a.Solved(t.Context(), task, proof)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestAnyNodeTakesWhatAnotherPosed(t *testing.T) {
	task := testTask()
	proof := proofOf(t, pose(t, newAltcha(t, rand.Reader), task).solve(t))
	other := newAltcha(t, rand.Reader)
	for range 3 { // a lost answer is asked for again
		if !solved(t, other, task, proof) {
			t.Error("the other node does not take the solution")
		}
	}
	task.Now = task.Now.Add(altchaFor - time.Second)
	if !solved(t, other, task, proof) {
		t.Error("a second before it expires the solution is not taken")
	}
	stranger, err := NewAltcha(NewSecret(bytes.Repeat([]byte("s"), shop.RootKeyMin)), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if solved(t, stranger, task, proof) {
		t.Error("a node with another root key takes the solution")
	}
}

func TestASolutionIsGoodForOneClaimUntilItExpires(t *testing.T) {
	hasher, err := shop.NewHasher(rootKey.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	a := newAltcha(t, seeded{counter: 5})
	task := testTask()
	task.Claim = hasher.Claim("sale", "ada", "key")
	proof := proofOf(t, pose(t, a, task).solve(t))
	if !solved(t, a, task, proof) {
		t.Fatal("the solution is not taken for its own claim")
	}
	for name, change := range map[string]func(*Task){
		"another key":      func(task *Task) { task.Claim = hasher.Claim("sale", "ada", "key2") },
		"another buyer":    func(task *Task) { task.Claim = hasher.Claim("sale", "bob", "key") },
		"another sale":     func(task *Task) { task.Claim = hasher.Claim("other", "ada", "key") },
		"a spliced name":   func(task *Task) { task.Claim = hasher.Claim("sal", "eada", "key") },
		"after its expiry": func(task *Task) { task.Now = task.Now.Add(altchaFor) },
	} {
		other := task
		change(&other)
		if solved(t, a, other, proof) {
			t.Errorf("%s: the solution is taken", name)
		}
	}
}

// A signed value that anybody could move or stretch is how ALTCHA solutions
// were used again elsewhere (CVE-2025-68113).
func TestNothingOfASolutionCanBeChanged(t *testing.T) {
	a, task := newAltcha(t, seeded{counter: 5}), testTask()
	second := pose(t, newAltcha(t, rand.Reader), task)
	at := func(p map[string]any, path ...string) map[string]any {
		for _, name := range path {
			p = p[name].(map[string]any)
		}
		return p
	}
	parameters := func(p map[string]any) map[string]any { return at(p, "challenge", "parameters") }
	for name, change := range map[string]func(map[string]any){
		"a later expiry":       func(p map[string]any) { parameters(p)["expiresAt"] = task.Now.Add(time.Hour).Unix() },
		"an expiry as text":    func(p map[string]any) { parameters(p)["expiresAt"] = "1796119320" },
		"a fraction of expiry": func(p map[string]any) { parameters(p)["expiresAt"] = 1796119320.5 },
		"no expiry":            func(p map[string]any) { delete(parameters(p), "expiresAt") },
		"another algorithm":    func(p map[string]any) { parameters(p)["algorithm"] = "SHA-256" },
		"another spelling":     func(p map[string]any) { parameters(p)["algorithm"] = "pbkdf2/sha-256" },
		"less cost":            func(p map[string]any) { parameters(p)["cost"] = 1 },
		"no cost":              func(p map[string]any) { delete(parameters(p), "cost") },
		"a shorter key":        func(p map[string]any) { parameters(p)["keyLength"] = 16 },
		"a shorter prefix":     func(p map[string]any) { parameters(p)["keyPrefix"] = "00" },
		"another prefix":       func(p map[string]any) { parameters(p)["keyPrefix"] = second.Parameters["keyPrefix"] },
		"another nonce":        func(p map[string]any) { parameters(p)["nonce"] = second.Parameters["nonce"] },
		"another salt":         func(p map[string]any) { parameters(p)["salt"] = second.Parameters["salt"] },
		"nonce and salt swapped": func(p map[string]any) {
			q := parameters(p)
			q["nonce"], q["salt"] = q["salt"], q["nonce"]
		},
		"bytes moved from nonce to salt": func(p map[string]any) {
			q := parameters(p)
			nonce, salt := q["nonce"].(string), q["salt"].(string)
			q["nonce"], q["salt"] = nonce[:30], nonce[30:]+salt
		},
		"another key's signature": func(p map[string]any) { parameters(p)["keySignature"] = second.Parameters["keySignature"] },
		"another signature":       func(p map[string]any) { at(p, "challenge")["signature"] = second.Signature },
		"the key's as signature":  func(p map[string]any) { at(p, "challenge")["signature"] = parameters(p)["keySignature"] },
		"no signature":            func(p map[string]any) { delete(at(p, "challenge"), "signature") },
		"a parameter more":        func(p map[string]any) { parameters(p)["parallelism"] = 1 },
		"data more":               func(p map[string]any) { at(p, "challenge", "parameters", "data")["sale"] = "other" },
		"no solution":             func(p map[string]any) { delete(p, "solution") },
		"the prefix for the key":  func(p map[string]any) { at(p, "solution")["derivedKey"] = parameters(p)["keyPrefix"] },
		"a counter below 0":       func(p map[string]any) { at(p, "solution")["counter"] = -1 },
		"a counter out of range":  func(p map[string]any) { at(p, "solution")["counter"] = altchaTries << LevelMax },
		"a test of the widget's":  func(p map[string]any) { p["test"] = true },
	} {
		payload := pose(t, a, task).solve(t)
		if proof := proofOf(t, payload); !solved(t, a, task, proof) {
			t.Fatal("the solution is not taken as it was")
		}
		change(payload)
		if solved(t, a, task, proofOf(t, payload)) {
			t.Errorf("%s: the solution is taken", name)
		}
	}
}

// The counter and the time are for people who look at solutions; all else
// decides.
func TestEveryFlippedBitUndoesTheSolution(t *testing.T) {
	a, task := newAltcha(t, seeded{counter: 5}), testTask()
	proof := proofOf(t, pose(t, a, task).solve(t))
	text, err := base64.StdEncoding.DecodeString(string(proof))
	if err != nil {
		t.Fatal(err)
	}
	claim, unread := bytes.Index(text, []byte(`"claim":"`))+len(`"claim":"`), bytes.Index(text, []byte(`"counter"`))
	for at := range text {
		for bit := range 8 {
			text[at] ^= 1 << bit
			flipped := []byte(base64.StdEncoding.EncodeToString(text))
			same := bytes.EqualFold(flipped, proof) || json.Valid(text) && bitIsNobodys(at, claim, unread, text)
			if got := solved(t, a, task, flipped); got && !same {
				t.Errorf("bit %d of byte %d: the solution is taken: %s", bit, at, text)
			}
			text[at] ^= 1 << bit
		}
	}
}

// bitIsNobodys: the claim is the one of the order, whatever the proof says; the
// counter and the time are not read; and hexadecimal digits have two cases.
func bitIsNobodys(at, claim, unread int, text []byte) bool {
	inClaim := at >= claim && at < claim+32
	inCounter := at > unread && bytes.IndexByte(text[unread:at], ',') < 0
	inTime := bytes.Contains(text[:at], []byte(`"time":`))
	return inClaim || inCounter || inTime || text[at] >= 'A' && text[at] <= 'F'
}

func TestWhatIsNoProofIsRefused(t *testing.T) {
	a, task := newAltcha(t, seeded{counter: 5}), testTask()
	good := string(proofOf(t, pose(t, a, task).solve(t)))
	text, _ := base64.StdEncoding.DecodeString(good)
	for name, proof := range map[string]string{
		"nothing": "", "a word": "solved", "an empty object": "e30=", "no base64": "!" + good,
		"two of them": good + good, "half of it": good[:len(good)/2], "the other alphabet": base64.URLEncoding.EncodeToString([]byte("{\"a\":\"\xff\xfe\"}")),
		"too long":     base64.StdEncoding.EncodeToString(append(text, bytes.Repeat([]byte(" "), proofMax)...)),
		"a space":      base64.StdEncoding.EncodeToString(append(text, ' ')),
		"a name twice": base64.StdEncoding.EncodeToString(bytes.Replace(text, []byte(`"cost":200`), []byte(`"cost":200,"cost":200`), 1)),
		"the widget's": base64.StdEncoding.EncodeToString([]byte(`{"challenge":null,"solution":null,"test":true}`)),
		"version 1":    base64.StdEncoding.EncodeToString([]byte(`{"algorithm":"SHA-256","challenge":"00","number":1,"salt":"00","signature":"00"}`)),
	} {
		if solved(t, a, task, []byte(proof)) {
			t.Errorf("%s: taken", name)
		}
	}
}

// Solved by the altcha package of npm, version 3.2.2, from what Pose wrote.
const solvedByAltcha = "eyJjaGFsbGVuZ2UiOnsicGFyYW1ldGVycyI6eyJhbGdvcml0aG0iOiJQQktERjIvU0hBLTI1NiIsImNvc3QiOjIwMCwiZGF0YSI6eyJjbGFpbSI6IjAxMDIw" +
	"MzAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA5In0sImV4cGlyZXNBdCI6MTc5NjExOTMyMCwia2V5TGVuZ3RoIjozMiwia2V5UHJlZml4IjoiMzAyNjJiNWUw" +
	"N2I0NzMwMzcxZTk5NmYwMjA0YWU5NzYiLCJrZXlTaWduYXR1cmUiOiJjODhlOTlkMGM0ODYyNzFiNTU4ZDkyYTE3OTdkYWQ0MjhiNmI0MDRmM2ExMGI4ZGRl" +
	"NzhlNmQyYzdmZjgxZjkxIiwibm9uY2UiOiIwMDAxMDIwMzA0MDUwNjA3MDgwOTBhMGIwYzBkMGUwZiIsInNhbHQiOiIxMDExMTIxMzE0MTUxNjE3MTgxOTFh" +
	"MWIxYzFkMWUxZiJ9LCJzaWduYXR1cmUiOiI0NTFhYjg2YTNlZDQyMjk4Yjk4NzU3ZjU2MjEwMWUzYTBiNjBiOGE5ZWI5YWQ0NjY1Yjc1YzBiZDBlNzAxNDRk" +
	"In0sInNvbHV0aW9uIjp7ImNvdW50ZXIiOjc3LCJkZXJpdmVkS2V5IjoiMzAyNjJiNWUwN2I0NzMwMzcxZTk5NmYwMjA0YWU5NzYwZGZmYzZhNDA1ODQ3Nzg2" +
	"YzgwM2MxZmZlODg0MjZjMCIsInRpbWUiOjM5LjN9fQ=="

func TestTheLibrarysOwnSolutionIsTaken(t *testing.T) {
	a, task := newAltcha(t, seeded{counter: 77}), testTask()
	if !solved(t, a, task, []byte(solvedByAltcha)) {
		text, _ := a.Pose(nil, task)
		t.Errorf("it is not taken for %s", text)
	}
}

func TestTheWorkGrowsWithTheLevel(t *testing.T) {
	for level, want := range map[int]uint32{0: altchaTries, 1: 2 * altchaTries, LevelMax: 4 * altchaTries, LevelMax + 5: 4 * altchaTries} {
		task := testTask()
		task.Level = level
		last, err := newAltcha(t, seeded{counter: want - 1}).Pose(nil, task)
		if err != nil {
			t.Fatal(err)
		}
		first, err := newAltcha(t, seeded{counter: want}).Pose(nil, task)
		if err != nil {
			t.Fatal(err)
		}
		zero, err := newAltcha(t, seeded{}).Pose(nil, task)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(last, first) || !bytes.Equal(first, zero) {
			t.Errorf("level %d does not ask for up to %d keys", level, want)
		}
	}
}

func TestWithoutRandomnessNothingIsPosed(t *testing.T) {
	if text, err := newAltcha(t, bytes.NewReader(make([]byte, 20))).Pose(nil, testTask()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %s, %v; want an error", text, err)
	}
}

func TestReadingASolutionCostsNoMemory(t *testing.T) {
	a, task := newAltcha(t, seeded{counter: 5}), testTask()
	good := proofOf(t, pose(t, a, task).solve(t))
	for name, proof := range map[string][]byte{"a good one": good, "a bad one": good[:len(good)-8], "a long one": bytes.Repeat([]byte("a"), 8000)} {
		if n := testing.AllocsPerRun(100, func() { _, _ = a.Solved(t.Context(), task, proof) }); n > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func FuzzSolved(f *testing.F) {
	a, task := newAltcha(f, seeded{counter: 5}), testTask()
	payload := pose(f, a, task).solve(f)
	good := proofOf(f, payload)
	text, _ := base64.StdEncoding.DecodeString(string(good))
	for _, seed := range []string{"", "{}", `{"challenge":{"parameters":{"data":{}}}}`, `{"solution":{"counter":1e99}}`, string(text)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		proof := []byte(base64.StdEncoding.EncodeToString(text))
		ok, fault := a.Solved(t.Context(), task, proof)
		if fault != nil {
			t.Fatal(fault)
		}
		if !ok {
			return
		}
		var got, honest solution
		_, _ = got.read(a.strict, proof), honest.read(a.strict, good)
		got.puzzle.claim, honest.puzzle.claim = task.Claim, task.Claim
		if got.puzzle != honest.puzzle || got.key != honest.key || got.signature != honest.signature {
			t.Errorf("taken: %s", text)
		}
	})
}

func BenchmarkPose(b *testing.B) {
	a, task := newAltcha(b, rand.Reader), testTask()
	room := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Pose(room, task); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSolved(b *testing.B) {
	a, task := newAltcha(b, seeded{counter: 5}), testTask()
	proof := proofOf(b, pose(b, a, task).solve(b))
	b.ReportAllocs()
	for b.Loop() {
		if ok, _ := a.Solved(b.Context(), task, proof); !ok {
			b.Fatal("not taken")
		}
	}
}
