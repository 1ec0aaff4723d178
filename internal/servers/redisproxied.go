package servers

import (
	"context"
	"errors"
	"net"
	"strconv"
)

// StartProxiedRedisCluster starts a cluster in dir, an empty folder, whose
// nodes announce themselves under the addresses of proxies, one for clients
// and one for the cluster's own bus, so that either can be hurt.
func StartProxiedRedisCluster(ctx context.Context, dir string, masters, replicas int) (*RedisCluster, error) {
	c, err := startCluster(ctx, dir, masters, replicas, announce)
	if err != nil {
		return c, errors.Join(err, c.CloseProxies())
	}
	return c, nil
}

// announce puts proxies before the node that will listen at an address.
func announce(ctx context.Context, c *RedisCluster, address string) ([]string, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	link, err := StartProxy(ctx, address)
	if err != nil {
		return nil, err
	}
	c.Links = append(c.Links, link)
	bus, err := StartProxy(ctx, net.JoinHostPort(host, strconv.Itoa(port+10_000)))
	if err != nil {
		return nil, err
	}
	c.Buses = append(c.Buses, bus)
	return []string{
		"--cluster-announce-ip", host, "--cluster-announce-port", portOf(link), "--cluster-announce-bus-port", portOf(bus),
	}, nil
}

func portOf(p *Proxy) string {
	_, port, _ := net.SplitHostPort(p.Address)
	return port
}

// CloseProxies ends the proxies. The nodes stay.
func (c *RedisCluster) CloseProxies() error {
	var faults []error
	for _, p := range append(c.Links, c.Buses...) {
		faults = append(faults, p.Close())
	}
	return errors.Join(faults...)
}
