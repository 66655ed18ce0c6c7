package netmon

import (
	"encoding/binary"
	"slices"
	"testing"
)

func TestConcernsRouting(t *testing.T) {
	// Flags are at another place on OpenBSD.
	for _, flagsAt := range []int{8, 16} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			message := func(kind byte, flags uint32) []byte {
				m := make([]byte, 96)
				order.PutUint16(m, 96)
				m[2], m[3] = 5, kind
				order.PutUint32(m[flagsAt:], flags)
				return m
			}
			const up, host, gateway = 0x1, 0x4, 0x2
			for _, tc := range []struct {
				name     string
				messages []byte
				want     bool
			}{
				{"a default route comes", message(0x1, up|gateway), true},
				{"a default route goes", message(0x2, gateway), true},
				{"a default route changes", message(0x3, up|gateway), true},
				{"a neighbor comes", message(0x1, up|host), false},
				{"a neighbor goes", message(0x2, host), false},
				{"a lookup", message(0x4, up|gateway), false},
				{"a lookup that missed", message(0x7, gateway), false},
				{"a new address", message(0xc, 0), true},
				{"a deleted address", message(0xd, 0), true},
				{"an interface", message(0xe, 0), true},
				{"a new address of NetBSD", message(0x16, 0), true},
				{"several", slices.Concat(message(0x1, up|host), message(0x4, 0), message(0xc, 0)), true},
				{"several of no concern", slices.Concat(message(0x1, up|host), message(0x4, 0)), false},
				{"nothing", nil, false},
				{"cut off", message(0x1, up)[:50], true},
				{"no length", make([]byte, 96), true},
				{"a short route", func() []byte { m := make([]byte, 6); order.PutUint16(m, 6); m[3] = 1; return m }(), true},
			} {
				if got := concernsRouting(tc.messages, flagsAt, order); got != tc.want {
					t.Errorf("%s: got %t, want %t", tc.name, got, tc.want)
				}
			}
		}
	}
}

func FuzzConcernsRouting(f *testing.F) {
	f.Add([]byte{4, 0, 5, 0xc})
	f.Add([]byte{12, 0, 5, 1, 0, 0, 0, 0, 2, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, messages []byte) {
		for _, flagsAt := range []int{8, 16} {
			if concernsRouting(nil, flagsAt, binary.LittleEndian) {
				t.Error("nothing is of concern")
			}
			concernsRouting(messages, flagsAt, binary.LittleEndian)
		}
	})
}
