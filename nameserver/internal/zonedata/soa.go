package zonedata

import (
	"strings"

	"github.com/miekg/dns"
)

// packedSOA is the SOA record of negative answers, as it is in messages.
type packedSOA struct {
	ttl          uint32
	mname, rname soaName
	rest         string // serial and what follows it
}

// soaName is a name in wire form: without the origin, if it ends with that.
type soaName struct {
	wire   string
	inZone bool
}

func packSOA(origin string, soa *dns.SOA) packedSOA {
	negative := *soa
	negative.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	var buf []byte
	rdata, err := rdataOf(&negative, &buf)
	if err != nil || len(rdata) < 20 {
		return packedSOA{} // none of a zone: those have been sent and read
	}
	p := packedSOA{ttl: negative.Hdr.Ttl, rest: string(rdata[len(rdata)-20:])}
	for _, to := range []struct {
		name    string
		soaName *soaName
	}{{soa.Ns, &p.mname}, {soa.Mbox, &p.rname}} {
		wire, err := wireName(to.name)
		if err != nil {
			return packedSOA{}
		}
		cut, inZone := strings.CutSuffix(wire, origin)
		if inZone && !onLabel(wire, len(cut)) {
			cut, inZone = wire, false
		}
		*to.soaName = soaName{cut, inZone}
		if !inZone {
			to.soaName.wire = wire
		}
	}
	return p
}

// onLabel reports whether a label of a name in wire form begins at an offset.
func onLabel(wire string, at int) bool {
	off := 0
	for off < at && wire[off] != 0 {
		off += 1 + int(wire[off])
	}
	return off == at
}
