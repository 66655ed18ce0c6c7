package netmon

import "encoding/binary"

// The types of messages of a routing socket that are about routes: those below
// tell of lookups and the like, and those above of addresses and interfaces. All
// systems that have routing sockets agree on these.
const (
	routeAdded   = 0x1
	routeDeleted = 0x2
	routeChanged = 0x3
	lastOfRoutes = 0xb
)

// viaGateway is the flag of a route that leads to a router, as default routes
// do.
const viaGateway = 0x2

// concernsRouting reports whether what was read from a routing socket may be
// about addresses or default routes. The flags of a route are at that offset of
// its message. It keeps the routes to single neighbors, which come and go, from
// being noise.
func concernsRouting(messages []byte, flagsAt int, order binary.ByteOrder) bool {
	for len(messages) >= 4 {
		length := int(order.Uint16(messages))
		if length < 4 || length > len(messages) {
			return true // cannot be read, which is as good as a change
		}
		message := messages[:length]
		messages = messages[length:]
		switch kind := message[3]; {
		case kind > lastOfRoutes:
			return true
		case kind == routeAdded || kind == routeDeleted || kind == routeChanged:
			if length < flagsAt+4 || order.Uint32(message[flagsAt:])&viaGateway != 0 {
				return true
			}
		}
	}
	return false
}
