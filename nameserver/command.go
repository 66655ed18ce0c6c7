package nameserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/report"
)

// The exit statuses of the command.
const (
	exitWell    = 0
	exitUnknown = 1
	exitUnwell  = 2
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "nameserver",
		Usage: "status|delegation [--address <listen>] [--config <path> [--adapter <name>]] [--json]",
		Short: "Shows how the zones of the name server are",
		Long: `
Shows how the zones are that the nameserver app of a running Caddy serves.

The exit status is 0 if all is well, 2 if anything is wrong, and 1 if that
cannot be told.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.RunE = func(_ *cobra.Command, args []string) error {
				if len(args) == 0 {
					return errors.New("what to show is missing; write status or delegation")
				}
				return fmt.Errorf("there is no %q; write status or delegation", args[0])
			}
			cmd.DisableFlagsInUseLine = true
			cmd.AddCommand(
				subcommand("status", "Shows zones, serials, secondaries, and what is wrong", `
Shows the zones with their serial and number of records, the secondaries with
theirs, what is wrong, and what the last check of the delegation found.`, http.MethodGet, statusPath),
				subcommand("delegation", "Asks the parent's servers what they say of the zones", `
Asks the servers of the parent zones for the name servers of the zones, and
shows which records have to be written or deleted there.`, http.MethodPost, delegationPath),
			)
		},
	})
}

func subcommand(name, short, long, method, path string) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Long: long, Args: cobra.NoArgs}
	cmd.Flags().String("address", "", "The address of the admin endpoint")
	cmd.Flags().StringP("config", "c", "", "A configuration file, for the address of the admin endpoint")
	cmd.Flags().StringP("adapter", "a", "", "The adapter of the configuration file")
	cmd.Flags().Bool("json", false, "Print the server's JSON")
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		// From here on, the exit status and the log say it all.
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		addr, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
		if err != nil {
			return exitUnknown, fmt.Errorf("finding the admin endpoint: %w", err)
		}
		resp, err := caddycmd.AdminAPIRequest(addr, method, path, nil, nil)
		if err != nil {
			return exitUnknown, err
		}
		defer resp.Body.Close()
		return show(os.Stdout, resp.Body, fl.Bool("json"))
	})
	return cmd
}

// show prints a status, and returns the exit status.
func show(w io.Writer, body io.Reader, asJSON bool) (int, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return exitUnknown, err
	}
	var s report.Status
	if err := json.Unmarshal(raw, &s); err != nil {
		return exitUnknown, fmt.Errorf("reading the status: %w", err)
	}
	if asJSON {
		_, err = w.Write(raw)
	} else {
		err = printStatus(w, &s)
	}
	switch {
	case err != nil:
		return exitUnknown, err
	case !s.Well():
		return exitUnwell, nil
	}
	return exitWell, nil
}

// printStatus writes the status for people. Text of others has no control characters
// then.
func printStatus(w io.Writer, s *report.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) {
		for i, arg := range args {
			if text, ok := arg.(string); ok {
				args[i] = strings.Map(printable, text)
			}
		}
		fmt.Fprintf(t, format+"\n", args...)
	}
	line("Name server %s on %s", s.Name, strings.Join(s.Listen, ", "))
	for _, z := range s.Zones {
		line("")
		if z.Served {
			line("%s\tserial %d\t%d records\t%s", z.Name, z.Serial, z.Records, z.File)
		} else {
			line("%s\tnot served\t\t%s", z.Name, z.File)
		}
		if z.Error != "" {
			line("  error: %s", z.Error)
		}
		if z.BadFile != nil {
			line("  set aside: %s: %s", z.BadFile.File, z.BadFile.Error)
		}
		for _, sec := range z.Secondaries {
			switch {
			case sec.Error != "":
				line("  secondary %s\t%s", sec.Address, sec.Error)
			case sec.UpToDate:
				line("  secondary %s\tup to date", sec.Address)
			default:
				line("  secondary %s\tserial %d", sec.Address, sec.Serial)
			}
		}
		printDelegation(z.Delegation, line)
	}
	return t.Flush()
}

func printDelegation(d *report.DelegationStatus, line func(string, ...any)) {
	switch {
	case d == nil:
	case d.Error != "":
		line("  delegation: %s", d.Error)
	case d.Delegation == nil:
	case d.Right:
		line("  delegation: right in %s", d.Parent)
	default:
		for _, r := range d.Write {
			line("  delegation: write in %s\t%s", d.Parent, r)
		}
		for _, r := range d.Delete {
			line("  delegation: delete in %s\t%s", d.Parent, r)
		}
	}
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f || '\u0080' <= r && r <= '\u009f' {
		return '�'
	}
	return r
}
