package nameserver

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// batchSize is how many datagrams are read and written at a time.
	batchSize = 32

	// maxQuery is the largest query that is read. Longer ones are cut off, and
	// then make no sense.
	maxQuery = 4096

	// sourceSize holds the address that a datagram was sent to, as the system
	// tells it.
	sourceSize = 128
)

// udpServer answers what comes over a UDP socket.
type udpServer struct {
	conn   *net.UDPConn
	batch  *ipv4.PacketConn // the same for IPv6
	source bool             // answers must say the address they leave from
	answer func(packet, buf []byte, client netip.Addr, w net.Addr) []byte
}

// newUDPServer prepares a socket. On one that takes queries for all addresses
// of the machine, each answer must leave from the one that was asked.
func newUDPServer(conn *net.UDPConn, answer func(packet, buf []byte, client netip.Addr, w net.Addr) []byte) *udpServer {
	s := &udpServer{conn: conn, batch: ipv4.NewPacketConn(conn), answer: answer}
	local, ok := conn.LocalAddr().(*net.UDPAddr)
	if ok && local.IP.IsUnspecified() {
		err6 := ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
		err4 := s.batch.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
		s.source = err6 == nil || err4 == nil
	}
	return s
}

// serve answers until the socket is closed. While one goroutine waits for the
// next batch, others answer theirs.
func (s *udpServer) serve() error {
	errs := make(chan error, 1)
	var running sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) {
		running.Go(func() {
			err := s.work()
			select {
			case errs <- err:
			default:
			}
			_ = s.conn.Close() // for the others
		})
	}
	running.Wait()
	return <-errs
}

func (s *udpServer) work() error {
	in, out := newBatch(), newBatch()
	sources := make([]sourceOf, batchSize)
	for {
		for i := range in {
			in[i].N, in[i].NN = 0, 0
			in[i].OOB = in[i].OOB[:sourceSize]
		}
		n, err := s.batch.ReadBatch(in, 0)
		if err != nil {
			if isTemporary(err) {
				continue
			}
			return err
		}
		answers := out[:0]
		for i := range in[:n] {
			addr, ok := in[i].Addr.(*net.UDPAddr)
			if !ok {
				continue
			}
			m := &out[:cap(out)][len(answers)]
			buf := m.Buffers[0]
			answer := s.answer(in[i].Buffers[0][:in[i].N], buf[:0:cap(buf)], addr.AddrPort().Addr().Unmap().WithZone(""), addr)
			if len(answer) == 0 {
				continue
			}
			answers = out[:len(answers)+1]
			m.Buffers[0] = answer
			m.Addr, m.OOB = addr, nil
			if s.source {
				m.OOB = sources[i].reply(in[i].OOB[:in[i].NN])
			}
		}
		s.send(answers)
	}
}

// send writes answers. One that cannot be sent, say to an address that nobody
// has, must not hold up the others.
func (s *udpServer) send(answers []ipv4.Message) {
	for len(answers) > 0 {
		n, err := s.batch.WriteBatch(answers, 0)
		if err != nil {
			n = max(n, 0) + 1
		}
		answers = answers[min(max(n, 1), len(answers)):]
	}
}

func newBatch() []ipv4.Message {
	batch := make([]ipv4.Message, batchSize)
	for i := range batch {
		batch[i].Buffers = [][]byte{make([]byte, maxQuery)}
		batch[i].OOB = make([]byte, sourceSize)
	}
	return batch
}

// sourceOf turns the address that a datagram was sent to into the one that its
// answer leaves from. Most often that is the one of last time.
type sourceOf struct {
	asked [sourceSize]byte
	n     int
	from  []byte
}

func (s *sourceOf) reply(oob []byte) []byte {
	if s.from != nil && string(oob) == string(s.asked[:s.n]) {
		return s.from
	}
	s.n = copy(s.asked[:], oob)
	s.from = nil
	var dst net.IP
	var iface int
	if cm := new(ipv6.ControlMessage); cm.Parse(oob) == nil && cm.Dst != nil {
		dst, iface = cm.Dst, cm.IfIndex
	} else if cm := new(ipv4.ControlMessage); cm.Parse(oob) == nil && cm.Dst != nil {
		dst = cm.Dst
	}
	switch {
	case dst == nil || dst.IsMulticast():
	case dst.To4() != nil:
		s.from = (&ipv4.ControlMessage{Src: dst.To4()}).Marshal()
	default:
		cm := &ipv6.ControlMessage{Src: dst}
		if dst.IsLinkLocalUnicast() {
			cm.IfIndex = iface
		}
		s.from = cm.Marshal()
	}
	return s.from
}

// isTemporary reports whether reading may go on: Windows tells so that an
// answer did not arrive.
func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return !errors.Is(err, os.ErrDeadlineExceeded) && (errors.Is(err, syscall.ECONNRESET) || errors.As(err, &t) && t.Temporary())
}

// shutdown ends serving once the queries under way are answered.
func (s *udpServer) shutdown() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) }
