package status

import (
	"strings"
	"time"
)

// ClusterStatus is what an instance knows of those that it shares names with.
type ClusterStatus struct {
	// What this instance is called.
	Instance string `json:"instance"`
	// The setting `share`.
	Share string `json:"share"`
	// The setting `lease`, in seconds.
	Lease float64 `json:"lease"`
	// Why this instance writes nothing, if it is cut off from the others.
	CutOff string `json:"cut_off,omitempty"`
	// The instances, this one first.
	Instances []InstanceStatus `json:"instances"`
}

// InstanceStatus is what is known of one instance.
type InstanceStatus struct {
	// What it is called.
	Name string `json:"name"`
	// The name of its machine.
	Host string `json:"host,omitempty"`
	// Whether it holds its lease.
	Alive bool `json:"alive"`
	// When it last gave a sign of life. Empty for this instance.
	LastSeen time.Time `json:"last_seen,omitzero"`
	// The addresses that it has found.
	Addresses Addresses `json:"addresses"`
	// The zones that it writes for all, without a trailing dot.
	Writes []string `json:"writes"`
}

func (p *printer) cluster(now time.Time, c *ClusterStatus) {
	p.line(0, "instances (%s)", c.Share)
	if c.CutOff != "" {
		p.line(2, "%s", p.paint(red, "This instance writes nothing: "+c.CutOff))
	}
	width := 0
	for _, instance := range c.Instances {
		width = max(width, visible(clean(instance.Name))+2)
	}
	for i, instance := range c.Instances {
		seen := "this one"
		switch {
		case i > 0 && instance.Alive:
			seen = "alive, seen " + ago(now.Sub(instance.LastSeen))
		case i > 0:
			seen = "gone, last seen " + ago(now.Sub(instance.LastSeen))
		}
		if len(instance.Writes) > 0 {
			seen += ", writes " + strings.Join(instance.Writes, ", ")
		}
		p.row(2, min(width, lineWidth/2), painted(clean(instance.Name)), "%s", instance.Addresses.String())
		p.line(8, "%s", seen)
	}
}
