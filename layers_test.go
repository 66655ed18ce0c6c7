package dynamicdns

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const thisModule = "github.com/caddy-dynamic-dns/caddy-dynamic-dns"

// layer is what one package may import.
type layer struct {
	// ours are packages of this module.
	ours string
	// others are modules of others, by their names in moduleNames.
	others string
	// std are the packages of the standard library that a pure package may
	// use. Other packages may use all of them.
	std string
}

// layers says which package may import what, from the bottom up. Tests may
// import more. Addresses flow from ipsources through internal/detect, the root
// and internal/zone to internal/provider; nothing knows what comes before it.
var layers = map[string]layer{
	// Pure: no network, no clock, no lock, no goroutine.
	"internal/ipaddr":    {std: "errors fmt math/bits net net/netip slices"},
	"internal/errkind":   {std: "regexp"},
	"internal/dnsname":   {others: "idna", std: "errors fmt net net/netip strings unicode"},
	"internal/plan":      {ours: "internal/ipaddr", std: "cmp fmt iter net/netip slices strings time"},
	"internal/lease":     {ours: "internal/ipaddr internal/plan", std: "cmp encoding/json fmt iter maps net/netip reflect slices strings time"},
	"internal/reconcile": {ours: "internal/ipaddr internal/plan", std: "cmp errors fmt iter maps math net/netip slices strings time"},

	// What clients of the admin API import, and so without anything of ours.
	"status": {},

	// Where addresses come from. These know no provider, and all but the
	// modules themselves know no Caddy.
	"ipsources":                 {},
	"internal/advice":           {},
	"internal/placeholders":     {others: "caddy"},
	"internal/places":           {},
	"internal/netmon":           {ours: "internal/ipaddr", others: "netlink sys zap"},
	"internal/igd":              {others: "charset"},
	"internal/uplink":           {others: "sys"},
	"internal/quorum":           {ours: "internal/ipaddr ipsources", others: "idna publicsuffix zap"},
	"internal/detect":           {ours: "internal/ipaddr internal/quorum ipsources", others: "zap"},
	"ipsources/command":         {ours: "internal/conf internal/ipaddr internal/placeholders ipsources", others: "caddy"},
	"ipsources/dnswhoami":       {ours: "internal/ipaddr internal/placeholders internal/quorum ipsources ipsources/internal/remote", others: "caddy miekg"},
	"ipsources/file":            {ours: "internal/ipaddr internal/placeholders ipsources", others: "caddy fsnotify"},
	"internal/natpmp":           {ours: "internal/ipaddr internal/netmon", others: "ipv4 zap"},
	"ipsources/fritzbox":        {ours: "internal/igd internal/ipaddr internal/netmon internal/placeholders internal/quorum ipsources", others: "caddy"},
	"ipsources/internal/remote": {ours: "internal/ipaddr internal/placeholders internal/quorum internal/uplink", others: "caddy zap"},
	"ipsources/natpmp":          {ours: "internal/ipaddr internal/natpmp internal/netmon internal/placeholders internal/quorum ipsources", others: "caddy zap"},
	"ipsources/netinterface":    {ours: "internal/ipaddr internal/netmon internal/placeholders ipsources", others: "caddy"},
	"ipsources/simplehttp":      {ours: "internal/ipaddr internal/placeholders internal/quorum ipsources ipsources/internal/remote", others: "caddy zap"},
	"ipsources/static":          {ours: "internal/ipaddr internal/placeholders ipsources", others: "caddy"},
	"ipsources/upnp":            {ours: "internal/igd internal/ipaddr internal/netmon internal/placeholders internal/quorum ipsources", others: "caddy ipv4 zap"},

	// Where addresses go. These know no IP source, no detector and no Caddy;
	// of CertMagic, internal/zone uses the interface of Caddy's storage.
	"internal/provider": {ours: "internal/dnsname internal/ipaddr internal/plan", others: "libdns zap"},
	"internal/finder":   {ours: "internal/dnsname internal/errkind", others: "certmagic miekg publicsuffix zap"},
	"internal/zone":     {ours: "internal/dnsname internal/errkind internal/ipaddr internal/plan internal/provider internal/reconcile", others: "certmagic miekg publicsuffix zap"},

	// What Caddy's modules that keep zones have in common: how they load
	// providers, and who is told what happens.
	"internal/cluster":   {ours: "internal/dnsname internal/ipaddr internal/lease internal/plan", others: "certmagic zap"},
	"internal/heartbeat": {ours: "internal/conf", others: "zap"},
	"internal/conf":      {ours: "internal/advice internal/provider internal/zone", others: "caddy certmagic"},
	"internal/events":    {ours: "internal/advice status", others: "caddy zap"},
	"internal/show":      {ours: "internal/cluster internal/dnsname internal/plan internal/provider internal/reconcile status"},
	"internal/timeline":  {ours: "status", others: "certmagic zap"},
	"internal/observe":   {ours: "internal/conf internal/detect internal/dnsname internal/events internal/finder internal/ipaddr internal/plan internal/provider internal/reconcile internal/show internal/timeline internal/zone status", others: "caddy prometheus"},

	// Caddy's face, which joins the two.
	".": {
		ours: "internal/advice internal/cluster internal/conf internal/delegation internal/detect internal/dnsname internal/doctor internal/events internal/finder internal/heartbeat internal/ipaddr internal/lease internal/natpmp internal/netmon internal/observe internal/placeholders internal/places internal/plan internal/probe internal/provider internal/reconcile internal/show internal/zone" +
			" ipsources ipsources/dnswhoami ipsources/file ipsources/fritzbox ipsources/natpmp ipsources/netinterface ipsources/simplehttp ipsources/static ipsources/upnp status",
		others: "caddy cobra singleflight term zap",
	},

	// The DDNS server. What its clients say and ask for knows no Caddy.
	"dyndns/internal/reply":   {std: "fmt io net/http net/netip strconv strings time"},
	"dyndns/internal/request": {ours: "dyndns/internal/reply internal/dnsname internal/ipaddr internal/plan", std: "cmp fmt io mime net/http net/netip net/url slices strings"},
	"dyndns/internal/ledger":  {ours: "internal/ipaddr internal/plan", others: "certmagic"},
	"dyndns": {
		ours: "dyndns/internal/auth dyndns/internal/ledger dyndns/internal/reply dyndns/internal/request internal/cluster internal/conf internal/dnsname internal/finder internal/ipaddr" +
			" internal/lease internal/observe internal/placeholders internal/places internal/plan internal/provider internal/reconcile internal/show internal/zone status",
		others: "caddy certmagic prometheus zap",
	},
	"dyndns/internal/auth": {ours: "dyndns/internal/reply internal/dnsname", others: "crypto"},

	// Why it does not work. What is judged is pure; probe finds out.
	"internal/delegation": {ours: "nameserver/report", others: "miekg"},
	"internal/doctor":     {ours: "internal/ipaddr status", std: "cmp fmt maps net/netip slices strings time"},
	"internal/probe":      {ours: "internal/delegation internal/dnsname internal/doctor internal/igd internal/ipaddr internal/natpmp internal/netmon internal/plan internal/provider ipsources", others: "miekg"},

	// Who tells people of events. What waits to be sent knows no Caddy.
	"notify/internal/outbox": {others: "zap"},
	"notify/internal/target": {ours: "internal/advice internal/conf", others: "shoutrrr"},
	"notify":                 {ours: "internal/advice internal/conf internal/placeholders notify/internal/outbox notify/internal/target", others: "caddy zap"},

	// The page. What it says knows no HTML and no Caddy; it finds the apps by
	// small interfaces.
	"statuspage/internal/view": {ours: "nameserver/report status", std: "fmt slices strconv strings time unicode unicode/utf8"},
	"statuspage":               {ours: "nameserver/report status statuspage/internal/view", others: "caddy zap"},

	// Modules of their own, which need not know that this one exists.
	"providers/internal/options":   {others: "caddy"},
	"providers/cloudflare":         {ours: "providers/internal/options", others: "caddy libdns libdns/cloudflare"},
	"providers/rfc2136":            {ours: "providers/internal/options", others: "caddy libdns libdns/rfc2136 miekg"},
	"providers/route53":            {ours: "providers/internal/options", others: "aws caddy libdns libdns/route53"},
	"nameserver/internal/zonedata": {others: "miekg"},
	"nameserver/report":            {},
	"nameserver":                   {ours: "internal/delegation nameserver/internal/zonedata nameserver/report", others: "caddy certmagic cobra idna ipv4 ipv6 libdns miekg prometheus zap"},

	// All of it in one binary: the only one that imports the root.
	"cmd/caddy": {ours: ". dyndns nameserver notify providers/cloudflare providers/rfc2136 providers/route53 statuspage", others: "caddy"},

	// For tests alone.
	"e2e":                         {},
	"e2e/clients":                 {},
	"e2e/cluster":                 {},
	"e2e/trouble":                 {},
	"internal/adapttest":          {others: "caddy"},
	"internal/beattest":           {},
	"internal/pagetest":           {},
	"internal/lab":                {others: "miekg sys"},
	"internal/onethread":          {},
	"internal/sourcetest":         {ours: "internal/ipaddr ipsources"},
	"internal/standin":            {others: "caddy libdns"},
	"internal/standin/cloudflare": {},
	"internal/standin/route53":    {},
}

// testOnly are packages that only tests import.
var testOnly = []string{"e2e", "internal/adapttest", "internal/beattest", "internal/lab", "internal/onethread", "internal/pagetest", "internal/sourcetest", "internal/standin"}

// moduleNames are what the table calls modules and packages of others.
var moduleNames = map[string]string{
	"aws":               "github.com/aws/aws-sdk-go-v2",
	"caddy":             "github.com/caddyserver/caddy/v2",
	"certmagic":         "github.com/caddyserver/certmagic",
	"charset":           "golang.org/x/net/html/charset",
	"cobra":             "github.com/spf13/cobra",
	"crypto":            "golang.org/x/crypto",
	"fsnotify":          "github.com/fsnotify/fsnotify",
	"idna":              "golang.org/x/net/idna",
	"ipv4":              "golang.org/x/net/ipv4",
	"ipv6":              "golang.org/x/net/ipv6",
	"libdns":            "github.com/libdns/libdns",
	"libdns/cloudflare": "github.com/libdns/cloudflare",
	"libdns/rfc2136":    "github.com/libdns/rfc2136",
	"libdns/route53":    "github.com/libdns/route53",
	"miekg":             "github.com/miekg/dns",
	"netlink":           "github.com/vishvananda/netlink",
	"prometheus":        "github.com/prometheus/client_golang",
	"publicsuffix":      "golang.org/x/net/publicsuffix",
	"shoutrrr":          "github.com/nicholas-fedor/shoutrrr",
	"singleflight":      "golang.org/x/sync/singleflight",
	"sys":               "golang.org/x/sys",
	"term":              "golang.org/x/term",
	"zap":               "go.uber.org/zap",
}

// never are dependencies that must not come about through others either.
var never = map[string][]string{
	"internal/zone":     {"caddy"},
	"internal/provider": {"caddy", "certmagic"},
	"internal/detect":   {"caddy", "certmagic", "libdns"},
	"ipsources":         {"caddy", "libdns", "zap"},
	"status":            {"caddy", "libdns", "zap"},
}

type listedPackage struct {
	ImportPath    string
	Dir           string
	GoFiles       []string
	Imports, Deps []string
	// TestImports and XTestImports are what its tests import.
	TestImports, XTestImports []string
}

// TestLayers: data goes one way, and what is below knows nothing of what is
// above.
func TestLayers(t *testing.T) {
	listed := listPackages(t)
	for _, p := range listed {
		name := ourName(p.ImportPath)
		l, ok := layers[name]
		if !ok {
			t.Errorf("the package %s is not in the table of layers_test.go; add a line there with what it may import, beside the packages that it is most like", name)
			continue
		}
		for _, path := range p.Imports {
			if problem := l.check(path); problem != "" {
				t.Errorf("%s imports %s: %s", name, path, problem)
			}
		}
		for _, module := range never[name] {
			if i := slices.IndexFunc(p.Deps, func(path string) bool { return inModule(path, moduleNames[module]) }); i >= 0 {
				t.Errorf("%s depends on %s, be it through another package; see docs/DESIGN.md", name, p.Deps[i])
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(layers)) {
		if !slices.ContainsFunc(listed, func(p listedPackage) bool { return ourName(p.ImportPath) == name }) {
			t.Errorf("the table of layers_test.go has the package %s, which does not exist; take the line out", name)
		}
	}
}

// check says what is wrong with an import, if anything is.
func (l layer) check(path string) string {
	first, _, _ := strings.Cut(path, "/")
	switch {
	case path == thisModule || strings.HasPrefix(path, thisModule+"/"):
		name := ourName(path)
		if slices.ContainsFunc(testOnly, func(test string) bool { return name == test || strings.HasPrefix(name, test+"/") }) && !slices.Contains(strings.Fields(l.ours), name) {
			return "that package is for tests alone"
		}
		if !slices.Contains(strings.Fields(l.ours), name) {
			return "the table of layers_test.go does not allow it. Data goes one way: let the importing package take what it needs as an argument or through a small interface of its own, or, where the direction is right, allow it there"
		}
	case !strings.Contains(first, "."):
		if l.std != "" && !slices.Contains(strings.Fields(l.std), path) {
			return "this package is pure, and the table of layers_test.go does not allow that package to it"
		}
	case !slices.ContainsFunc(strings.Fields(l.others), func(name string) bool { return inModule(path, moduleNames[name]) }):
		return "the table of layers_test.go does not allow it; if the package must know that module, allow it there"
	}
	return ""
}

// TestOneThread: tests with bubbles import what keeps the race detector from
// crashing in one of thousands of runs.
func TestOneThread(t *testing.T) {
	seen := false
	for _, p := range listPackages(t) {
		imports := slices.Concat(p.TestImports, p.XTestImports)
		bubbles := slices.Contains(imports, "testing/synctest")
		seen = seen || bubbles
		if bubbles && !slices.Contains(imports, thisModule+"/internal/onethread") {
			t.Errorf("the tests of %s use testing/synctest: import %s/internal/onethread, too", ourName(p.ImportPath), thisModule)
		}
	}
	if !seen {
		t.Error("no tests with testing/synctest were found")
	}
}

// TestPure: what must be the same whenever it is repeated asks no clock and
// starts no goroutine.
func TestPure(t *testing.T) {
	clock := map[string]bool{
		"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
		"NewTimer": true, "NewTicker": true, "Tick": true,
	}
	for _, p := range listPackages(t) {
		name := ourName(p.ImportPath)
		if layers[name].std == "" {
			continue
		}
		fset := token.NewFileSet()
		for _, file := range p.GoFiles {
			parsed, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			refuse := func(n ast.Node, what string) {
				t.Errorf("%s: %s is pure, and this %s; let the caller do it and hand in the result", fset.Position(n.Pos()), name, what)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					refuse(n, "starts a goroutine")
				case *ast.SelectStmt, *ast.ChanType:
					refuse(n, "uses a channel")
				case *ast.SelectorExpr:
					if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "time" && clock[n.Sel.Name] {
						refuse(n, "asks the clock with time."+n.Sel.Name)
					}
				case *ast.ImportSpec:
					if n.Name != nil {
						refuse(n, "gives an import another name, behind which a clock could be")
					}
				}
				return true
			})
		}
	}
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	// The go command takes a result from its cache unless a file that the
	// test itself has looked at is another by now.
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps,TestImports,XTestImports", "./...")
	out, err := list.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("there is no go command to list the packages")
	}
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	var all []listedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// ourName is the path of a package within this module; the root is ".".
func ourName(importPath string) string {
	if importPath == thisModule {
		return "."
	}
	return strings.TrimPrefix(importPath, thisModule+"/")
}

// inModule reports whether the package is the module's or below it.
func inModule(path, module string) bool {
	return module != "" && (path == module || strings.HasPrefix(path, module+"/"))
}
