//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// RogueAddr is what a rogue claims to be the router's address.
const RogueAddr = "6.6.6.6"

// Rogue is a device in a LAN that claims to be its router, faster than the
// router does: it answers searches by UPnP and questions by NAT-PMP, and
// announces its address all the time.
type Rogue struct {
	answered, announced atomic.Int32
}

// Answered returns how many searches it has answered.
func (r *Rogue) Answered() int { return int(r.answered.Load()) }

// Announced returns how often it has announced.
func (r *Rogue) Announced() int { return int(r.announced.Load()) }

// StartRogue puts a rogue with the address 192.168.77.66 into the router's LAN.
func StartRogue(t testing.TB, router *Router) *Rogue {
	t.Helper()
	const at = "192.168.77.66"
	ns := NewNS(t)
	router.Join(ns, "rogue", 66)
	r := new(Rogue)

	web := httptest.NewUnstartedServer(http.HandlerFunc(serveRogue))
	_ = web.Listener.Close()
	web.Listener = ns.Listen(at + ":80")
	web.Start()
	t.Cleanup(web.Close)

	var search, pmp *net.UDPConn
	err := ns.Do(func() error {
		iface, err := net.InterfaceByName("rogue")
		if err != nil {
			return err
		}
		if search, err = net.ListenMulticastUDP("udp4", iface, &net.UDPAddr{IP: net.IPv4(239, 255, 255, 250), Port: 1900}); err != nil {
			return err
		}
		pmp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(at), Port: 5351})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	address := []byte{0, 0x80, 0, 0, 0, 0, 0, 1}
	claimed := netip.MustParseAddr(RogueAddr).As4()
	address = append(address, claimed[:]...)

	var running sync.WaitGroup
	done := make(chan struct{})
	t.Cleanup(func() {
		close(done)
		_ = search.Close()
		_ = pmp.Close()
		running.Wait()
	})
	running.Go(func() {
		for b := make([]byte, 2048); ; {
			_, from, err := search.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			for version := range 2 {
				_, _ = pmp.WriteToUDPAddrPort(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n"+
					"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:%d\r\nLOCATION: http://%s/rootDesc.xml\r\nEXT:\r\n\r\n", version+1, at), from)
			}
			r.answered.Add(1)
		}
	})
	running.Go(func() {
		for b := make([]byte, 2048); ; {
			_, from, err := pmp.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = pmp.WriteToUDPAddrPort(address, from)
		}
	})
	running.Go(func() {
		for {
			if _, err := pmp.WriteToUDPAddrPort(address, netip.MustParseAddrPort("224.0.0.1:5350")); err == nil {
				r.announced.Add(1)
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-done:
				return
			}
		}
	})
	return r
}

func serveRogue(w http.ResponseWriter, req *http.Request) {
	const service = "urn:schemas-upnp-org:service:WANIPConnection:1"
	if req.Method == http.MethodPost {
		fmt.Fprint(w, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>`+
			`<u:GetExternalIPAddressResponse xmlns:u="`+service+`"><NewExternalIPAddress>`+RogueAddr+
			`</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body></s:Envelope>`)
		return
	}
	fmt.Fprint(w, `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device>`+
		`<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><serviceList><service>`+
		`<serviceType>`+service+`</serviceType><controlURL>/control</controlURL><eventSubURL>/events</eventSubURL>`+
		`</service></serviceList></device></root>`)
}
