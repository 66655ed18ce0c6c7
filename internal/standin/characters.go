package standin

import (
	"errors"
	"time"
)

// Named is a character with what a careful client can make of it.
type Named struct {
	Name string
	Character

	// The zone can be brought to hold several values of a name and type.
	Several bool
	// The provider has a way to change an address, and to go from several to
	// one and back, that never leaves the name without one. It may need to
	// have read the zone.
	KeepsNames bool
	// Reads show the zone at all, and as it is.
	Reads, ReadsNow bool
	// Reads show names, so that records of several names can be told apart.
	ReadsNames bool
	// The TTL of the records becomes that which is written.
	KeepsTTL bool
}

// Token is the secret in the errors of the characters that let one out.
const Token = "b7a9c1d2-secret-token-in-a-url"

var errServer = errors.New("500 internal server error")

// Characters returns the providers that there are, by what is known of the
// real ones, and the ways in which calls fail. After its faults, which befall
// the first calls, each can be brought to hold what a client desires.
func Characters() []Named {
	second := func(c Character) Character { c.Latency = time.Second; return c }
	named := func(name string, c Character) Named {
		reads := !c.NoGet && !c.ReadsFail
		return Named{
			Name: name, Character: second(c), Several: !c.OneValue, KeepsNames: true,
			Reads: reads, ReadsNow: reads && c.ReadsLag == 0, ReadsNames: true,
			KeepsTTL: c.MinTTL == 0 && c.ZoneTTL == 0,
		}
	}
	losing := func(n Named) Named { n.KeepsNames = false; return n }
	nameless := func(n Named) Named { n.ReadsNames = false; return n }
	hang := func() { time.Sleep(30 * time.Minute) }
	fails := func(name string, fault func(Call) Fault) Named {
		return named(name, Character{PerRecord: true, Fault: fault})
	}

	return []Named{
		named("strict", Character{ListsZones: true}),

		named("cloudflare", Character{PerRecord: true, Set: SetLastWins, SetRefusesSeveral: true, Delete: DeleteByData, ListsZones: true}),
		named("route53", Character{PerRecord: true, ReadName: EscapedNames}),
		named("rfc2136", Character{IgnoresContext: true, CNAMEIgnores: true}),
		named("gandi", Character{PerRecord: true, Set: SetAppends, Delete: DeleteByData, DeleteRefusesMissing: true, ReadAs: AsRR}),
		losing(named("godaddy", Character{PerRecord: true, Set: SetLastWins, Delete: DeleteByType, MinTTL: 10 * time.Minute, IgnoresContext: true, ReadAs: AsRR})),
		losing(named("porkbun", Character{PerRecord: true, Set: SetEveryMatch, Delete: DeleteByType, MinTTL: 10 * time.Minute, IgnoresContext: true, ReadAs: OnlyParsed, ListsZones: true})),
		named("namecheap", Character{RewritesZone: true, Delete: DeleteByData, ReadAs: AsPointer}),
		nameless(named("duckdns", Character{PerRecord: true, OneValue: true, Set: SetLastWins, Delete: DeleteByType, ReadsLag: 5 * time.Minute, ReadName: ApexOnly, Token: Token})),
		named("desec", Character{Delete: DeleteByData, MinTTL: time.Hour, ReadAs: AllParsed}),
		losing(named("hetzner", Character{PerRecord: true, Set: SetFirstMatch, Delete: DeleteFirstMatch, DeleteRefusesMissing: true, ReadAs: AllParsed})),
		losing(named("netcup", Character{PerRecord: true, Set: SetFirstMatch, Delete: DeleteFirstMatch, ZoneTTL: time.Hour})),
		named("acmedns", Character{ReadsFail: true}),

		named("sets only", Character{NoAppend: true, NoDelete: true}),
		named("appends and deletes only", Character{NoSet: true}),
		named("appends and deletes only, by record", Character{NoSet: true, PerRecord: true}),
		named("no reads", Character{NoGet: true}),
		named("lagging reads", Character{ReadsLag: 5 * time.Minute}),
		named("one value", Character{OneValue: true, Set: SetLastWins}),

		named("apex is empty", Character{ReadName: EmptyApex}),
		named("names absolute", Character{ReadName: AbsoluteNames}),
		named("names absolute with dot", Character{ReadName: DottedNames}),
		named("names upper case", Character{ReadName: UpperNames}),
		named("records unparsed", Character{ReadAs: AsRR}),
		named("records as pointers", Character{ReadAs: AsPointer}),

		fails("first read fails", OnCall(Get, Fault{Err: errServer}, 1)),
		fails("first write fails", OnCall(Set, Fault{Err: errServer}, 1, 2, 3)),
		fails("first write fails halfway", OnCall(Set, Fault{Err: errServer, After: 1}, 1, 2)),
		fails("answer to first write lost", OnCall(Set, Fault{Err: errServer, After: Everything}, 1)),
		fails("read panics", OnCall(Get, Fault{Do: func() { panic("index out of range") }}, 1)),
		fails("write panics", OnCall(Set, Fault{Do: func() { panic("index out of range") }}, 1)),
		fails("read hangs", OnCall(Get, Fault{Do: hang}, 1)),
		fails("write hangs and takes effect late", OnCall(Set, Fault{Do: hang}, 1)),
		named("token in errors", Character{Token: Token, Fault: OnCall(Set, Fault{Err: errServer}, 1, 2)}),
	}
}
