package dynamicdns

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/libdns/libdns"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/detect"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
)

// SetRecords makes it a provider that can be loaded.
func (*cfProvider) SetRecords(_ context.Context, _ string, recs []libdns.Record) ([]libdns.Record, error) {
	return recs, nil
}

// DeleteRecords makes it one that withdraw accepts.
func (*cfProvider) DeleteRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	return nil, nil
}

// GetRecords makes it one that update_only accepts.
func (*cfProvider) GetRecords(context.Context, string) ([]libdns.Record, error) { return nil, nil }

// TestWhatRunsIsWhatWasWritten takes the fixtures from the Caddyfile all the
// way to the zones, which are compared with testdata/running.txt.
func TestWhatRunsIsWhatWasWritten(t *testing.T) {
	t.Setenv("ZONE", "zone.example.com")
	t.Setenv("NAME", "name")
	t.Setenv("HOST", "host.example.com")
	t.Setenv("ID", "::17")
	t.Setenv("NAMES", "blog www")
	t.Setenv("RANGES", "93.184.0.0/16 2606::/16")
	t.Setenv("RANGE", "93.184.216.0/24")
	t.Setenv("ADDRESSES", "93.184.216.34 2606:4700::1")
	t.Setenv("ROUTER", "192.168.1.1")
	t.Setenv("URLS", "https://a.example https://b.example")
	t.Setenv("CLOUDFLARE_API_TOKEN", "s3cret")
	golden, err := os.ReadFile("testdata/running.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for section := range strings.SplitSeq(string(golden), "\n== ") {
		name, body, _ := strings.Cut(strings.TrimPrefix(section, "== "), "\n")
		want[name] = strings.TrimSpace(body)
	}
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
		if strings.HasPrefix(name, "error_") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			input, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			caddyfile, _, _ := strings.Cut(string(input), "\n----------\n")
			got := running(t, adapted(t, caddyfile)["dynamic_dns"])
			if got != want[name] {
				t.Errorf("== %s\n%s\n\nwant:\n%s", name, got, want[name])
			}
			delete(want, name)
		})
	}
	for name := range want {
		t.Errorf("there is no fixture %s", name)
	}
}

// running describes what runs with the configuration, or says why nothing
// does.
func running(t *testing.T, config json.RawMessage) string {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		AppsRaw: caddy.ModuleMap{"dynamic_dns": config},
	})
	if err != nil {
		return err.Error()
	}
	module, err := ctx.AppIfConfigured("dynamic_dns")
	if err != nil {
		t.Fatal(err)
	}
	app := module.(*App)
	defer func() { _ = app.Cleanup() }()

	var b strings.Builder
	fmt.Fprintf(&b, "check %s, verify %s", time.Duration(app.CheckInterval), time.Duration(app.VerifyInterval))
	if app.Watch != nil {
		fmt.Fprintf(&b, ", watch %t", *app.Watch)
	}
	off := false
	app.Watch = &off
	app.wire()
	var detectors []*detect.Detector
	for _, g := range app.groups {
		if !slices.Contains(detectors, g.detector) {
			detectors = append(detectors, g.detector)
		}
	}
	for i, d := range detectors {
		fmt.Fprintf(&b, "\nsources %d:", i)
		for _, s := range d.Sources {
			options, err := json.Marshal(s.IPSource)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, " %s%s", s.Name, strings.TrimSuffix(string(options), "{}"))
		}
		for f := ipaddr.V4; f < ipaddr.Families; f++ {
			if d.Families[f] {
				fmt.Fprintf(&b, " %s", f)
			}
		}
		if d.Prefix {
			b.WriteString(" prefix")
		}
		if d.Filter.Include != nil || d.Filter.Exclude != nil {
			fmt.Fprintf(&b, " include %v exclude %v", d.Filter.Include, d.Filter.Exclude)
		}
	}
	for _, z := range app.current().zones {
		for _, set := range z.sets {
			fmt.Fprintf(&b, "\n%s at %s: %s", z.zone.Name, describeAccount(t, set.group), strings.Join(set.names, " "))
			for f := ipaddr.V4; f < ipaddr.Families; f++ {
				if set.families[f] {
					fmt.Fprintf(&b, ", %s", f.RRType())
				}
			}
			if set.ids != nil {
				fmt.Fprintf(&b, ", ids %v below /%d", set.ids, set.group.prefixLength())
			}
			d := set.hold(nil, "")
			if d.TTL > 0 {
				fmt.Fprintf(&b, ", ttl %s", d.TTL)
			}
			if d.Withdraw {
				b.WriteString(", withdraw")
			}
			if d.UpdateOnly {
				b.WriteString(", update only")
			}
		}
	}
	for _, g := range app.groups {
		if g.dynamicDomains() {
			fmt.Fprintf(&b, "\nhosts in %s at %s from sources %d, but %v", strings.Join(slices.Sorted(maps.Keys(g.zones)), " "),
				describeAccount(t, g), slices.Index(detectors, g.detector), slices.Sorted(maps.Keys(g.except)))
		} else if len(g.zones) > 0 {
			fmt.Fprintf(&b, "\n%s at %s from sources %d", strings.Join(slices.Sorted(maps.Keys(g.zones)), " "),
				describeAccount(t, g), slices.Index(detectors, g.detector))
		}
		for _, host := range g.hosts {
			fmt.Fprintf(&b, "\nhost %s at %s from sources %d", host, describeAccount(t, g), slices.Index(detectors, g.detector))
			if zone := g.located[host]; zone != "" {
				b.WriteString(", in " + zone)
			}
		}
		if len(g.devices) > 0 {
			fmt.Fprintf(&b, "\ndevices in %s at %s from sources %d", strings.Join(slices.Sorted(maps.Keys(g.devices)), " "),
				describeAccount(t, g), slices.Index(detectors, g.detector))
		}
	}
	return b.String()
}

func describeAccount(t *testing.T, g *group) string {
	t.Helper()
	text, err := json.Marshal(g.provider.Module)
	if err != nil {
		t.Fatal(err)
	}
	return g.provider.Name + strings.TrimSuffix(string(text), "{}")
}
