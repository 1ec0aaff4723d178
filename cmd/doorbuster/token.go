package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/doorbuster/doorbuster/internal/config"
	"github.com/doorbuster/doorbuster/internal/gate"
	"github.com/doorbuster/doorbuster/internal/shop"
)

// place is how commands that need one secret find it.
type place struct {
	Data *string `placeholder:"DIR" preset:"./doorbuster-data" help:"Folder of the node."`
}

// folder finds --data as serve does.
func (f place) folder(p program) (string, error) {
	data, err := config.Folder(config.Flags{Data: f.Data}, p.getenv)
	if err != nil {
		return "", misused(err)
	}
	return data, nil
}

type tokenCommand struct {
	Buyer string        `required:"" xor:"what" placeholder:"ID" help:"Whom the token speaks for: 1 to 128 bytes."`
	Check string        `required:"" xor:"what" placeholder:"TOKEN" help:"Say whom this token speaks for, or why it is good for nobody: buyers hear 401, and never why."`
	TTL   time.Duration `default:"1h" placeholder:"DURATION" help:"How long it is good for. Default: 1h."`
	place
}

// Help is what --help says beyond the flags.
func (tokenCommand) Help() string {
	return `The token is signed with the buyer key: DOORBUSTER_BUYER_KEY, the file in DOORBUSTER_BUYER_KEY_FILE, or buyer-key in the node's folder. A shop makes its own tokens the same way: a JWT with sub and exp, signed with HS256.

    doorbuster token --buyer alice
    doorbuster token --check eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.…
    curl -H "Authorization: Bearer $(doorbuster token --buyer alice)" 'http://127.0.0.1:8080/api/v1/orders?sale=retro-85'`
}

// Run prints the token, or what is to be said of one.
func (c tokenCommand) Run(p program) error {
	data, err := c.folder(p)
	if err != nil {
		return err
	}
	key, err := config.ReadSecret("buyer-key", data, p.getenv)
	if err != nil {
		return misused(err)
	}
	if c.Check != "" {
		return check(p, c.Check, key)
	}
	if err := shop.CheckBuyer(c.Buyer); err != nil {
		return misused(errors.New("--buyer: " + err.Error()))
	}
	signer, err := gate.NewSigner(key)
	if err != nil {
		return misused(err)
	}
	token, err := signer.Sign(gate.Identity{Buyer: c.Buyer}, time.Now(), c.TTL)
	if err != nil {
		return misused(errors.New("--ttl: " + err.Error()))
	}
	p.print(p.stdout, "%s\n", token)
	return nil
}

// check says whom a token speaks for, or why for nobody.
func check(p program, token string, key gate.Secret) error {
	verifier, err := gate.NewVerifier(key, nil, 1)
	if err != nil {
		return misused(err)
	}
	token = strings.TrimPrefix(strings.TrimSpace(token), "Bearer ")
	who, until, err := verifier.Explain([]byte(token), time.Now())
	if err != nil {
		return fmt.Errorf("the token is good for nobody: %w", err)
	}
	where := ""
	if who.Sale != "" {
		where = ", in the sale " + who.Sale + " alone"
	}
	p.print(p.stdout, "good for the buyer %q until %s%s\n", who.Buyer, until.Format(time.RFC3339), where)
	return nil
}
