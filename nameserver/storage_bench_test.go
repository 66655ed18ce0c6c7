package nameserver

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

// zoneOf returns a zone of many names with one address each, in a storage.
func zoneOf(t testing.TB, records int) *testZone {
	t.Helper()
	z := newTestZone(t, t.TempDir(), new(Zone))
	err := z.update(context.Background(), z.storage, func(d *zonedata.Draft) error {
		_, err := appendRecords(d, manyNames(records))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func manyNames(n int) []libdns.Record {
	out := make([]libdns.Record, n)
	for i := range out {
		out[i] = address(fmt.Sprintf("host%d", i), fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255))
	}
	return out
}

func manyAddresses(n int) []libdns.Record {
	out := make([]libdns.Record, n)
	for i := range out {
		out[i] = address("big", fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255))
	}
	return out
}

// BenchmarkBigRRset sets 5,000 addresses of one name.
func BenchmarkBigRRset(b *testing.B) {
	z := newTestZone(b, b.TempDir(), new(Zone))
	p := providerAt(strings.TrimSuffix(z.file, "/nameserver/example.test.zone"))
	z.syncNow(b)
	recs := manyAddresses(5000)
	for b.Loop() {
		for _, change := range []func(context.Context, string, []libdns.Record) ([]libdns.Record, error){p.AppendRecords, p.SetRecords, p.DeleteRecords} {
			if _, err := change(context.Background(), "example.test.", recs); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(3*b.N), "ms/call")
}

// BenchmarkAppend adds a record to a zone of 100,000, and says what a record
// takes of memory.
func BenchmarkAppend(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	z := zoneOf(b, 100_000)
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	n := 0
	for b.Loop() {
		z.add(b, fmt.Sprintf("added%d", n), "192.0.2.1")
		n++
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/100_000, "B/record")
}

// BenchmarkWriters adds records to a zone of 10,000, 16 writers at a time.
func BenchmarkWriters(b *testing.B) {
	z := zoneOf(b, 10_000)
	var n atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					return
				}
				z.add(b, fmt.Sprintf("added%d", i), "192.0.2.1")
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
}
