package nameserver

import "sync/atomic"

// transport is how a query came.
type transport uint8

const (
	viaUDP transport = iota
	viaTCP
)

// maxRcode bounds the response codes that are counted by themselves.
const maxRcode = 24

// queryCounts is the answered queries by transport and response code.
type queryCounts [2][maxRcode]atomic.Uint64

func (c *queryCounts) add(tcp bool, rcode int) {
	t := viaUDP
	if tcp {
		t = viaTCP
	}
	c[t][min(rcode, maxRcode-1)].Add(1)
}

// traffic is what is counted of the process as a whole.
type traffic struct {
	outside   queryCounts   // for names of no zone, and what is no query
	truncated atomic.Uint64 // answers above the limit
	dropped   atomic.Uint64
	evicted   atomic.Uint64 // connections
	transfers atomic.Uint64
	refused   atomic.Uint64 // zone transfers
}

// counted outlives configurations.
var counted traffic
