package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Obstacles are what a provider has at or above names of which something is
// desired, and that keeps address RRsets from being written or from being seen.
type Obstacles struct {
	// CNAMEs are the targets of aliases by name. One is in the way of addresses
	// (RFC 1034, section 3.6.2).
	CNAMEs map[string]string
	// Cuts are the records by owner that take the names below out of the zone.
	Cuts map[string]Cut
	// Held says what else has an RRset: something of the provider's own kind
	// that answers in its place, or the mark of another program.
	Held map[Key]string
}

// Cut is an RRset below which the zone ends: NS at other names than that of the
// zone (RFC 1034, section 4.2.1), or DNAME (RFC 6672).
type Cut struct {
	// Owner is the full name, for people.
	Owner string
	DNAME bool
	// Targets are relative to the zone where they are in it.
	Targets []string
}

// Obstacle is what is in the way of an RRset. The zero value is none.
type Obstacle struct {
	// Reason says what it is and what to do.
	Reason string
	// Theirs means that the RRset belongs to somebody else.
	Theirs bool
}

// At returns what is in the way of an RRset.
func (o *Obstacles) At(key Key) Obstacle {
	if cut, ok := o.cut(key.Name); ok {
		return Obstacle{Reason: cut.reason()}
	}
	if target := o.CNAMEs[key.Name]; target != "" {
		return Obstacle{Reason: fmt.Sprintf("a CNAME record to %s is in the way; delete it, or take the name out of the configuration", target)}
	}
	if holder := o.Held[key]; holder != "" {
		return Obstacle{Reason: holder + "; delete that, or take the name out of the configuration", Theirs: true}
	}
	return Obstacle{}
}

// cut finds the highest record that hides the name. The address of a name
// server that a delegation names is glue, which is seen.
func (o *Obstacles) cut(name string) (Cut, bool) {
	if len(o.Cuts) == 0 || name == "@" {
		return Cut{}, false
	}
	if c, ok := o.Cuts["@"]; ok && c.DNAME {
		return c, true
	}
	for at := len(name); at > 0; {
		at = strings.LastIndexByte(name[:at], '.')
		owner := name[at+1:]
		c, ok := o.Cuts[owner]
		if ok && (c.DNAME && owner != name || !c.DNAME && !slices.Contains(c.Targets, name)) {
			return c, true
		}
	}
	return Cut{}, false
}

func (c Cut) reason() string {
	if c.DNAME {
		return fmt.Sprintf("hidden by the DNAME record of %s, which leads all names below it elsewhere; delete it, or take the name out of the configuration", c.Owner)
	}
	return fmt.Sprintf("hidden by the delegation of %s, whose own servers are asked for it; write the name under that zone, or delete the NS records", c.Owner)
}
