package nameserver

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("nameserver", parseApp)
}

// parseApp sets up the app from the global option. Syntax:
//
//	nameserver [<listen addresses...>] {
//		zone <zone> {
//			ns <host> [<addresses...>]
//			contact <mailbox>
//			ttl <duration>
//			record <name> <type> <data...>
//			transfer_to <addresses, CIDRs or key:name...>
//			notify <addresses...> [key:<name>]
//		}
//		max_qps_per_client <n>|off
//		tsig_key <name> <secret> [<algorithm>]
//		name <id>
//		skip_delegation_check
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // consume option name
	if existing != nil {
		return nil, d.Err("nameserver is configured twice: write all zones into one block")
	}
	app := new(App)
	app.Listen = d.RemainingArgs()
	for d.NextBlock(0) {
		if err := app.parseOption(d); err != nil {
			return nil, err
		}
	}
	return httpcaddyfile.App{Name: "nameserver", Value: caddyconfig.JSON(app, nil)}, nil
}

func (a *App) parseOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "zone":
		return a.parseZone(d)

	case "max_qps_per_client":
		var value string
		if !d.AllArgs(&value) {
			return d.ArgErr()
		}
		if a.MaxQPSPerClient != 0 {
			return d.Err("max_qps_per_client is given twice")
		}
		if value == "off" {
			a.MaxQPSPerClient = -1
			return nil
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return d.Errf("max_qps_per_client %s: write a number of answers per second, from 1 on, or off", value)
		}
		a.MaxQPSPerClient = n

	case "name":
		var name string
		if !d.AllArgs(&name) {
			return d.ArgErr()
		}
		if a.Name != "" {
			return d.Err("name is given twice")
		}
		a.Name = name

	case "skip_delegation_check":
		if d.NextArg() {
			return d.ArgErr()
		}
		a.SkipDelegationCheck = true

	case "tsig_key":
		args := d.RemainingArgs()
		if len(args) < 2 || len(args) > 3 {
			return d.ArgErr()
		}
		if a.TSIGKeys[args[0]] != nil {
			return d.Errf("tsig_key %s is given twice", args[0])
		}
		key := &TSIGKey{Secret: args[1]}
		if len(args) == 3 {
			key.Algorithm = args[2]
		}
		if a.TSIGKeys == nil {
			a.TSIGKeys = make(map[string]*TSIGKey)
		}
		a.TSIGKeys[args[0]] = key

	default:
		return d.Errf("unrecognized subdirective %q: nameserver knows zone, max_qps_per_client, tsig_key, name and skip_delegation_check", d.Val())
	}
	return nil
}

func (a *App) parseZone(d *caddyfile.Dispenser) error {
	var name string
	if !d.AllArgs(&name) {
		return d.ArgErr()
	}
	if a.Zones[name] != nil {
		return d.Errf("zone %s is configured twice", name)
	}
	origin := ""
	if !strings.Contains(name, "{") {
		var err error
		if origin, err = configuredZoneName(caddy.NewReplacer(), name); err != nil {
			return d.WrapErr(err)
		}
	}
	zone := new(Zone)
	literal := origin != ""
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		args := d.RemainingArgs()
		known := origin
		if strings.Contains(strings.Join(args, ""), "{") {
			known, literal = "", false
		}
		if err := zone.parseOption(d, known, option, args); err != nil {
			return err
		}
	}
	if literal {
		if _, err := zone.declare(caddy.NewReplacer(), origin, nobody); err != nil {
			return d.WrapErr(err)
		}
	}
	if a.Zones == nil {
		a.Zones = make(map[string]*Zone)
	}
	a.Zones[name] = zone
	return nil
}

// nobody owns what is only judged.
func nobody() string { return "" }

// parseOption parses one option of a zone. It judges it here, where the line is
// known, unless the origin is empty, which means that there are placeholders.
func (z *Zone) parseOption(d *caddyfile.Dispenser, origin, option string, args []string) error {
	literal := origin != ""
	repl := caddy.NewReplacer()
	var err error
	switch option {
	case "ns":
		if len(args) == 0 {
			return d.ArgErr()
		}
		ns := NameServer{Host: args[0], Addresses: args[1:]}
		z.NameServers = append(z.NameServers, ns)
		if literal {
			err = new(declaration).addNameServer(repl, origin, 0, ns)
		}

	case "contact":
		if len(args) != 1 {
			return d.ArgErr()
		}
		if z.Contact != "" {
			return d.Err("contact is given twice")
		}
		z.Contact = args[0]
		if literal {
			_, err = z.mailbox(repl, origin)
		}

	case "ttl":
		if len(args) != 1 {
			return d.ArgErr()
		}
		if z.TTL != 0 {
			return d.Err("ttl is given twice")
		}
		ttl, perr := caddy.ParseDuration(args[0])
		if perr != nil || ttl <= 0 {
			return d.Errf("ttl %s: write a duration, like 5m or 1h", args[0])
		}
		z.TTL = caddy.Duration(ttl)
		_, err = z.seconds()

	case "record":
		if len(args) < 3 {
			return d.Err("record needs a name, a type and data, like `record www A 203.0.113.7`")
		}
		for i, arg := range args[2:] {
			args[2+i] = masterFileArg(arg)
		}
		r := Record{Name: args[0], Type: args[1], Data: strings.Join(args[2:], " ")}
		z.Records = append(z.Records, r)
		if literal {
			_, err = r.parse(repl, origin, 0)
		}

	case "transfer_to":
		if len(args) == 0 {
			return d.ArgErr()
		}
		z.TransferTo = append(z.TransferTo, args...)

	case "notify":
		if len(args) == 0 {
			return d.ArgErr()
		}
		addrs, key := args, ""
		if last := args[len(args)-1]; strings.HasPrefix(last, "key:") && len(args) > 1 {
			addrs, key = args[:len(args)-1], " "+last
		}
		for _, s := range addrs {
			z.Notify = append(z.Notify, s+key)
			if _, serr := parseSecondary(s + key); literal && serr != nil {
				err = serr
			}
		}

	default:
		return d.Errf("unrecognized subdirective %q: a zone knows ns, contact, ttl, record, transfer_to and notify", option)
	}
	if err != nil {
		return d.Errf("%s %s: %w", option, strings.Join(args, " "), err)
	}
	return nil
}

// masterFileArg gives an argument the quotes back that the Caddyfile has
// taken, where master file syntax needs them. One that begins with a quote is
// in that syntax already.
func masterFileArg(arg string) string {
	if strings.HasPrefix(arg, `"`) || arg != "" && !strings.ContainsAny(arg, " \t;()") {
		return arg
	}
	return `"` + zonedata.EscapeText(arg) + `"`
}
