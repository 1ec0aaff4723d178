package node

import (
	"context"
	"errors"
)

func (n *Node) openDistributed(context.Context) error {
	return errors.New("not yet")
}
