package main

import (
	"time"

	"github.com/doorbuster/doorbuster/internal/plan"
	"github.com/doorbuster/doorbuster/internal/shop"
)

type planCommand struct {
	Buyers     string        `required:"" placeholder:"N" help:"How many people want one, such as 1M."`
	Stock      string        `required:"" placeholder:"N" help:"How many units there are, such as 10k."`
	Rush       time.Duration `default:"10s" placeholder:"TIME" help:"Within which everybody has ordered once (${default})."`
	Watch      time.Duration `default:"10m" placeholder:"TIME" help:"For how long pages are open before (${default})."`
	Tries      float64       `default:"1.2" placeholder:"N" help:"Orders that one buyer sends (${default})."`
	Peak       float64       `default:"3" placeholder:"N" help:"The worst second of the rush, in mean seconds (${default})."`
	NoCDN      bool          `name:"no-cdn" help:"No CDN serves pages and their polls."`
	NodeCores  int           `default:"4" placeholder:"N" help:"Cores of a node's machine (${default})."`
	ProxyCores int           `default:"8" placeholder:"N" help:"Cores of a balancer's machine (${default})."`
	CoreHour   float64       `default:"0.05" placeholder:"PRICE" help:"What a core costs for an hour, in your currency (${default})."`
	Gigabyte   float64       `default:"0.05" placeholder:"PRICE" help:"What a gigabyte costs that goes out (${default})."`
}

// Help is what --help says beyond the flags.
func (planCommand) Help() string {
	return `Prints machines, lines and money with the arithmetic beside each, from figures measured on two cores. Run the commands that it names on yours: ratios travel, figures do not. What the figures are not: docs/capacity.md.

    doorbuster plan --buyers 1M --stock 10k
    doorbuster plan --buyers 10M --stock 100k --rush 10s --node-cores 16`
}

// Run prints the plan.
func (c planCommand) Run(p program) error {
	var faults shop.Faults
	read := func(flag, text string) int64 {
		n, err := plan.ParseCount(text)
		if err != nil {
			faults = append(faults, shop.Fault{Field: flag, Wrong: err.Error()})
			return 1 // no second fault of the same flag
		}
		return n
	}
	crowd := plan.Crowd{
		Buyers: read("--buyers", c.Buyers), Stock: read("--stock", c.Stock), Rush: c.Rush, Watch: c.Watch, Tries: c.Tries, Peak: c.Peak,
		CDN: !c.NoCDN, NodeCores: c.NodeCores, ProxyCores: c.ProxyCores, CoreHour: c.CoreHour, Gigabyte: c.Gigabyte,
	}
	if faults = append(faults, crowd.Check()...); len(faults) > 0 {
		return misused(faults)
	}
	return plan.Print(p.stdout, plan.Make(&crowd))
}
