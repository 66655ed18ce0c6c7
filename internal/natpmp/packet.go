// Package natpmp asks a router for its external address by NAT-PMP (RFC 6886)
// and by its successor PCP (RFC 6887), and listens to what routers announce.
package natpmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

const (
	// pmpVersion and pcpVersion are the first octet of every packet.
	pmpVersion = 0
	pcpVersion = 2

	// response is the bit of the second octet that tells an answer from a
	// question; the others are the opcode.
	response    = 0x80
	opAddress   = 0 // NAT-PMP
	opAnnounce  = 0 // PCP
	opMap       = 1 // PCP
	protocolUDP = 17

	addressSize  = 12
	announceSize = 24
	mapSize      = 60
)

// Result codes. RFC 6886, section 3.5, and RFC 6887, section 7.4.
const (
	success            = 0
	unsupportedVersion = 1
	pmpRefused         = 2
	pmpNoAddress       = 3
	pmpNoOpcode        = 5
	pcpRefused         = 2
	pcpNoResources     = 8
	pcpMismatch        = 12
)

// errForeign says that a packet is not an answer to the question.
var errForeign = errors.New("not an answer to the question")

// answer is a router's answer about its address.
type answer struct {
	result uint8
	// addr is the external address. With a result other than success it may
	// tell what is wrong, and is nothing else.
	addr netip.Addr
}

// addressQuestion is the question of NAT-PMP for the external address.
func addressQuestion() []byte { return []byte{pmpVersion, opAddress} }

// parseAddress reads an answer to an addressQuestion. A router that speaks
// nothing but PCP refuses in its own format.
func parseAddress(b []byte) (answer, error) {
	switch {
	case len(b) >= 4 && b[0] == pcpVersion && b[1]&response != 0 && b[3] == unsupportedVersion:
		return answer{result: unsupportedVersion}, nil
	case len(b) < 8 || b[0] != pmpVersion || b[1] != response|opAddress:
		return answer{}, errForeign
	}
	result := binary.BigEndian.Uint16(b[2:])
	switch {
	case result > 0xff:
		return answer{}, errForeign
	case result != success:
		return answer{result: uint8(result)}, nil
	case len(b) != addressSize:
		return answer{}, errForeign
	}
	return answer{addr: netip.AddrFrom4([4]byte(b[8:12]))}, nil
}

// nonce tells which mapping is whose.
type nonce [12]byte

// mapping is a port of this machine that the router is asked to map.
type mapping struct {
	local netip.AddrPort
	nonce nonce
}

// question asks for the mapping for so many seconds, and with 0 to have it
// deleted.
func (m mapping) question(seconds uint32) []byte {
	b := make([]byte, 0, mapSize)
	b = append(b, pcpVersion, opMap, 0, 0)
	b = binary.BigEndian.AppendUint32(b, seconds)
	local := m.local.Addr().As16()
	b = append(b, local[:]...)
	b = append(b, m.nonce[:]...)
	b = append(b, protocolUDP, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, m.local.Port())
	b = append(b, 0, 0) // any external port
	suggested := netip.IPv6Unspecified().As16()
	if m.local.Addr().Unmap().Is4() {
		suggested = netip.AddrFrom4([4]byte{}).As16()
	}
	return append(b, suggested[:]...)
}

// parse reads an answer to one of the mapping's questions.
func (m mapping) parse(b []byte) (answer, error) {
	switch {
	case len(b) >= 4 && b[0] == pmpVersion && b[1]&response != 0 && binary.BigEndian.Uint16(b[2:]) == unsupportedVersion:
		return answer{result: unsupportedVersion}, nil
	case len(b) < announceSize || b[0] != pcpVersion || b[1] != response|opMap:
		return answer{}, errForeign
	case len(b) < mapSize && b[3] != success:
		return answer{result: b[3]}, nil
	case len(b) < mapSize, nonce(b[24:36]) != m.nonce, b[36] != protocolUDP, binary.BigEndian.Uint16(b[40:]) != m.local.Port():
		return answer{}, errForeign
	}
	addr := netip.AddrFrom16([16]byte(b[44:60])).Unmap()
	if addr.Is4() != m.local.Addr().Unmap().Is4() {
		return answer{}, errForeign
	}
	return answer{b[3], addr}, nil
}

// announcement is what a router tells everybody.
type announcement struct {
	// epoch is how many seconds ago the router has started.
	epoch uint32
	// addr is the external address that NAT-PMP announces. It serves to tell
	// announcements apart, and is not believed.
	addr netip.Addr
}

// parseAnnouncement reads what was sent to all hosts: an answer of NAT-PMP
// without a question, or ANNOUNCE of PCP.
func parseAnnouncement(b []byte) (announcement, error) {
	switch {
	case len(b) == addressSize && b[0] == pmpVersion && b[1] == response|opAddress:
		return announcement{binary.BigEndian.Uint32(b[4:]), netip.AddrFrom4([4]byte(b[8:12]))}, nil
	case len(b) >= announceSize && b[0] == pcpVersion && b[1] == response|opAnnounce && b[3] == success:
		return announcement{epoch: binary.BigEndian.Uint32(b[8:])}, nil
	}
	return announcement{}, errors.New("not an announcement")
}

// meaning says what a result code means.
func meaning(pcp bool, result uint8) string {
	switch {
	case result == unsupportedVersion:
		return "it does not speak that version"
	case !pcp && result == pmpRefused, pcp && result == pcpRefused:
		return "it is configured to refuse; allow NAT-PMP or PCP there"
	case !pcp && result == pmpNoAddress:
		return "it has no address"
	case pcp && result == pcpNoResources:
		return "it cannot map a port now"
	}
	return fmt.Sprintf("result code %d", result)
}
