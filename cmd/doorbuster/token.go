package main

import (
	"errors"
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
	Buyer string        `required:"" placeholder:"ID" help:"Whom the token speaks for: 1 to 128 bytes."`
	TTL   time.Duration `default:"1h" placeholder:"DURATION" help:"How long it is good for. Default: 1h."`
	place
}

// Help is what --help says beyond the flags.
func (tokenCommand) Help() string {
	return `The token is signed with the buyer key: DOORBUSTER_BUYER_KEY, the file in DOORBUSTER_BUYER_KEY_FILE, or buyer-key in the node's folder. A shop makes its own tokens the same way: a JWT with sub and exp, signed with HS256.

    doorbuster token --buyer alice
    curl -H "Authorization: Bearer $(doorbuster token --buyer alice)" 'http://127.0.0.1:8080/api/v1/orders?sale=retro-85'`
}

// Run prints the token.
func (c tokenCommand) Run(p program) error {
	data, err := c.folder(p)
	if err != nil {
		return err
	}
	if err := shop.CheckBuyer(c.Buyer); err != nil {
		return misused(errors.New("--buyer: " + err.Error()))
	}
	key, err := config.ReadSecret("buyer-key", data, p.getenv)
	if err != nil {
		return misused(err)
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
