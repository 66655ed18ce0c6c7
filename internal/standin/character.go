package standin

import (
	"time"

	"github.com/libdns/libdns"
)

// Character is how a provider behaves. The zero value keeps the libdns
// contract: it has every interface save ZoneLister, and each of its calls is
// atomic.
type Character struct {
	// The interfaces that the provider lacks, and one that few have.
	NoGet, NoSet, NoAppend, NoDelete bool
	ListsZones                       bool

	// What SetRecords and DeleteRecords do.
	Set    SetStyle
	Delete DeleteStyle
	// SetRecords fails where a name and type has two values already.
	SetRefusesSeveral bool
	// DeleteRecords fails where the record is not there.
	DeleteRefusesMissing bool
	// A name and type has one value; to append one replaces it.
	OneValue bool

	// A write is one API call a record, or an RRset with [SetWhole], each of
	// which takes the latency and takes effect alone. Without it a write takes
	// effect whole or not at all.
	PerRecord bool
	// A write reads the zone, waits for the latency and puts the zone back
	// whole, so that of two overlapping writes one is lost.
	RewritesZone bool
	// How long an API call takes.
	Latency time.Duration
	// API calls take their time even when the context is done.
	IgnoresContext bool

	// Reads show the zone as it was this long ago.
	ReadsLag time.Duration
	// Reads always fail.
	ReadsFail bool
	// The form of the names that reads return: [EmptyApex], [AbsoluteNames],
	// [DottedNames], [UpperNames], [EscapedNames] or [ApexOnly]. Default:
	// as in the contract.
	ReadName func(name, zone string) string
	// The form of the records that reads return: [AsRR], [AsPointer],
	// [OnlyParsed] or [AllParsed]. Default: parsed, or RR what cannot be.
	ReadAs func(libdns.RR) (record libdns.Record, err error)

	// What a list of zones shows. Default: all of them, by name.
	ListAs func([]libdns.Zone) []libdns.Zone

	// The TTL that lower ones are raised to.
	MinTTL time.Duration
	// The TTL that all records have, whatever is written.
	ZoneTTL time.Duration

	// An address beside a CNAME is dropped without an error, as BIND does.
	CNAMEIgnores bool

	// A secret that the text of every error contains.
	Token string

	// What goes wrong; see [Zones.Fail].
	Fault func(Call) Fault
}

// SetStyle is what SetRecords does.
type SetStyle int

const (
	// The records of each name and type become those of the input.
	SetWhole SetStyle = iota
	// Each record of the input replaces those of its name and type, also the
	// one just written: the last value wins.
	SetLastWins
	// Each record of the input is added and takes its TTL along.
	SetAppends
	// Each record of the input overwrites the first record of its name and
	// type that was there before the call, or else is added.
	SetFirstMatch
	// Each record of the input overwrites every record of its name and type,
	// unless the first of them is just like it or there was none before the
	// call, when it is added.
	SetEveryMatch
)

// DeleteStyle is what DeleteRecords takes for a match.
type DeleteStyle int

const (
	// Name, and type, TTL and data unless they are empty.
	DeleteExact DeleteStyle = iota
	// Name, type and data.
	DeleteByData
	// Name and type.
	DeleteByType
	// The first record of that name and type that there was before the call,
	// whatever its data.
	DeleteFirstMatch
)

// EmptyApex calls the zone itself "".
func EmptyApex(name, _ string) string {
	if name == "@" {
		return ""
	}
	return name
}

// DottedNames makes FQDNs with a trailing dot.
func DottedNames(name, zone string) string { return libdns.AbsoluteName(name, zone) }

// AbsoluteNames makes FQDNs without a trailing dot.
func AbsoluteNames(name, zone string) string {
	name = DottedNames(name, zone)
	return name[:len(name)-1]
}

// UpperNames uses upper case.
func UpperNames(name, _ string) string {
	b := []byte(name)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// EscapedNames writes a wildcard's asterisk as \052.
func EscapedNames(name, _ string) string {
	if name == "*" || len(name) > 1 && name[:2] == "*." {
		return `\052` + name[1:]
	}
	return name
}

// ApexOnly says that everything is the zone itself.
func ApexOnly(_, _ string) string { return "@" }

func asParsed(rr libdns.RR) (libdns.Record, error) {
	if record, err := rr.Parse(); err == nil {
		return record, nil
	}
	return rr, nil
}

// AsRR leaves records unparsed.
func AsRR(rr libdns.RR) (libdns.Record, error) { return rr, nil }

// OnlyParsed leaves out records that cannot be parsed.
func OnlyParsed(rr libdns.RR) (libdns.Record, error) {
	if record, err := rr.Parse(); err == nil {
		return record, nil
	}
	return nil, nil
}

// AllParsed fails for a zone with a record that cannot be parsed.
func AllParsed(rr libdns.RR) (libdns.Record, error) { return rr.Parse() }

// AsPointer makes pointers to parsed records.
func AsPointer(rr libdns.RR) (libdns.Record, error) {
	record, err := rr.Parse()
	if err != nil {
		return &rr, nil
	}
	switch r := record.(type) {
	case libdns.Address:
		return &r, nil
	case libdns.CAA:
		return &r, nil
	case libdns.CNAME:
		return &r, nil
	case libdns.MX:
		return &r, nil
	case libdns.NS:
		return &r, nil
	case libdns.SRV:
		return &r, nil
	case libdns.ServiceBinding:
		return &r, nil
	case libdns.TXT:
		return &r, nil
	}
	return &rr, nil
}
