package zonedata

import (
	"errors"
	"slices"
	"strings"
	"sync"
)

// Provenance says where a record of a zone comes from.
type Provenance uint8

const (
	// Dynamic is a record that was set through the provider, or by hand.
	Dynamic Provenance = iota
	// Fixed is a record that a configuration says.
	Fixed
	// Following is an NS record of a configuration, whose host has the zone's
	// own addresses.
	Following
	// Derived is an address of such a host.
	Derived
)

// Mark is the comment by which a zone file keeps where a record comes from, so
// that what a configuration no longer says can be taken out.
type Mark struct {
	From Provenance
	// Owners is the names of the Caddys whose configuration says the record,
	// sorted and separated by ", ". It is empty for a file of before owners
	// were named.
	Owners string
}

const (
	markConfig  = "config"
	markOf      = " of "
	markFollows = ", address follows @"
	markDerived = "follows @"
	ownersSep   = ", "
)

// String returns the comment, without its semicolon.
func (m Mark) String() string {
	if m.From == Derived {
		return markDerived
	}
	if m.From == Dynamic {
		return ""
	}
	s := markConfig
	if m.Owners != "" {
		s += markOf + m.Owners
	}
	if m.From == Following {
		s += markFollows
	}
	return s
}

// parseMark reads a comment. What is not a mark is a comment of a person.
func parseMark(comment string) Mark {
	comment = strings.TrimSpace(strings.TrimPrefix(comment, ";"))
	if comment == markDerived {
		return Mark{From: Derived}
	}
	m := Mark{From: Fixed}
	rest, follows := strings.CutSuffix(comment, markFollows)
	if follows {
		m.From = Following
	}
	if rest == markConfig {
		return m
	}
	owners, ok := strings.CutPrefix(rest, markConfig+markOf)
	if !ok || owners == "" {
		return Mark{}
	}
	names := strings.Split(owners, ownersSep)
	if slices.ContainsFunc(names, func(n string) bool { return !IsOwner(n) }) {
		return Mark{}
	}
	m.Owners = joinOwners(names)
	return m
}

// IsOwner reports whether a name can be that of a Caddy in a zone file.
func IsOwner(name string) bool {
	return name != "" && len(name) <= 63 && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}

// Said reports whether a configuration says the record.
func (m Mark) Said() bool { return m.From == Fixed || m.From == Following }

// IsOf reports whether a Caddy is among those whose configuration says the
// record.
func (m Mark) IsOf(owner string) bool {
	return m.Said() && slices.Contains(strings.Split(m.Owners, ownersSep), owner)
}

// OwnerNames returns the Caddys whose configuration says the record.
func (m Mark) OwnerNames() []string {
	if !m.Said() || m.Owners == "" {
		return nil
	}
	return strings.Split(m.Owners, ownersSep)
}

// Without returns the mark as it is when a Caddy no longer says the record. A
// record that nobody says any longer is no longer said at all, which is
// reported as not ok.
func (m Mark) Without(owner string) (rest Mark, ok bool) {
	names := slices.DeleteFunc(m.OwnerNames(), func(n string) bool { return n == owner })
	return Mark{m.From, joinOwners(names)}, len(names) > 0
}

// and returns the mark of a record that has both.
func (m Mark) and(o Mark) Mark {
	return Mark{max(m.From, o.From), joinOwners(append(m.OwnerNames(), o.OwnerNames()...))}
}

func joinOwners(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ownersSep)
}

// marks numbers the marks, of which there are few, so that a record holds two
// bytes of its own.
var marks = struct {
	sync.RWMutex
	list    []Mark
	numbers map[Mark]uint16
}{list: []Mark{{}}, numbers: map[Mark]uint16{{}: 0}}

const maxMarks = 1 << 15

func markNumber(m Mark) (uint16, error) {
	marks.RLock()
	n, ok := marks.numbers[m]
	marks.RUnlock()
	if ok {
		return n, nil
	}
	marks.Lock()
	defer marks.Unlock()
	if n, ok := marks.numbers[m]; ok {
		return n, nil
	}
	if len(marks.list) == maxMarks {
		return 0, errors.New("too many Caddys are named in comments")
	}
	n = uint16(len(marks.list))
	marks.list = append(marks.list, m)
	marks.numbers[m] = n
	return n, nil
}

func markAt(n uint16) Mark {
	marks.RLock()
	defer marks.RUnlock()
	return marks.list[n]
}
