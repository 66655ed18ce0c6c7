package dynamicdns

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/status"
)

// The exit statuses of the command.
const (
	exitInSync    = 0
	exitUnknown   = 1
	exitNotInSync = 2
)

// requestTimeout is a little longer than the server takes for its longest
// answer.
const requestTimeout = answerTimeout + 5*time.Second

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "dynamic-dns",
		Usage: "status|check|plan|doctor|notify-test [--address <listen>] [--config <path> [--adapter <name>]] [--json], token [<user>]",
		Short: "Shows whether DNS records are as they should be",
		Long: `
Shows what the dynamic_dns app of a running Caddy does: whether the records are
in sync with this machine's addresses, since when, and if not, why.

The exit status is 0 if all records are in sync, 2 if any is not, and 1 if that
cannot be told.`,
		CobraFunc: func(cmd *cobra.Command) {
			// Without it, a mistyped subcommand shows the help and exits with 0.
			cmd.RunE = func(_ *cobra.Command, args []string) error {
				var names []string
				for _, sub := range cmd.Commands() {
					names = append(names, sub.Name())
				}
				all := strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
				if len(args) == 0 {
					return fmt.Errorf("what to show is missing; write %s", all)
				}
				return fmt.Errorf("there is no %q; write %s", args[0], all)
			}
			cmd.DisableFlagsInUseLine = true
			cmd.Example = `  caddy dynamic-dns status
  caddy dynamic-dns plan --config ./Caddyfile`
			cmd.AddCommand(
				withExample(`  caddy dynamic-dns status
  caddy dynamic-dns status --json --address localhost:2019`, subcommand("status", "Shows addresses, zones and records as last seen", `
Shows the addresses, zones and records as they were last seen. It is answered
at once, from what the running Caddy knows.`, runStatus)),
				withExample(`  caddy dynamic-dns check
  caddy dynamic-dns check && echo all is well`, subcommand("check", "Asks for the addresses and verifies all zones now", `
Asks the IP sources and reads all zones now, repairs what differs, and shows
the status when that is done, or after 30 seconds.`, runCheck)),
				withExample(`  caddy dynamic-dns plan
  caddy dynamic-dns plan --config ./Caddyfile`, subcommand("plan", "Shows what would change, and writes nothing", `
Reads all zones now and shows which records would be written and which would be
left alone, and why. Nothing is written.

With --config, that configuration is loaded but not started, and need not be
the one that is running, nor need any be.

The exit status is 0 if nothing would change, 2 if something would or is in the
way, and 1 if that cannot be told.`, runPlan)),
				withExample(`  caddy dynamic-dns notify-test
  caddy dynamic-dns notify-test --config ./Caddyfile`, subcommand("notify-test", "Sends a message to all who are notified of events", `
Sends a message to each URL of the handlers notify in the global option events,
and shows who has taken it. Nobody is waited for longer than 30 seconds.

With --config, it is sent to those of that configuration, and none need be
running.

The exit status is 0 if all have taken the message, 2 if any has not, and 1 if
that cannot be told.`, runNotifyTest)),
				doctorCommand(),
				tokenCommand(),
			)
		},
	})
}

func withExample(example string, cmd *cobra.Command) *cobra.Command {
	cmd.Example = example
	return cmd
}

func subcommand(name, short, long string, run func(*console, caddycmd.Flags) (int, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long:  long,
		Args:  cobra.NoArgs,
		// Otherwise the shell proposes files where nothing can be written.
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().String("address", "", "The address of the admin endpoint")
	cmd.Flags().StringP("config", "c", "", "A configuration file, for the address of the admin endpoint, or to load instead of asking a running Caddy (plan, notify-test, doctor)")
	cmd.Flags().StringP("adapter", "a", "", "The adapter of the configuration file")
	cmd.Flags().Bool("json", false, "Print the server's JSON")
	_ = cmd.RegisterFlagCompletionFunc("address", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("adapter", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return adapters(), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		// From here on, the exit status and the log say it all.
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		c := &console{out: os.Stdout, progress: io.Discard, json: fl.Bool("json")}
		c.color = term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""
		if term.IsTerminal(int(os.Stderr.Fd())) {
			c.progress = os.Stderr
		}
		return run(c, fl)
	})
	return cmd
}

// adapters are the names of the config adapters of this build.
func adapters() (names []string) {
	for _, module := range caddy.GetModules("caddy.adapters") {
		names = append(names, module.ID.Name())
	}
	return names
}

// console is where a command shows things.
type console struct {
	out io.Writer
	// progress is shown while something takes long.
	progress    io.Writer
	json, color bool
	// doing is what takes long.
	doing atomic.Value
}

// tell says what is being done now.
func (c *console) tell(doing string) { c.doing.Store(doing) }

func runStatus(c *console, fl caddycmd.Flags) (int, error) {
	var shown status.Status
	if err := c.request(fl, http.MethodGet, "status", &shown); err != nil {
		return exitUnknown, err
	}
	return c.showStatus(&shown)
}

func runCheck(c *console, fl caddycmd.Flags) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.progress != io.Discard {
		go c.followCheck(ctx, fl)
	}
	var shown status.Status
	if err := c.request(fl, http.MethodPost, "check", &shown); err != nil {
		return exitUnknown, err
	}
	return c.showStatus(&shown)
}

// followCheck shows how far a check has come.
func (c *console) followCheck(ctx context.Context, fl caddycmd.Flags) {
	began := time.Now().Truncate(time.Second)
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		return
	}
	for {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		var shown status.Status
		if askAdmin(ctx, address, adminBase+"status", &shown) == nil && ctx.Err() == nil {
			c.tell(shown.Progress(began))
		}
	}
}

func runPlan(c *console, fl caddycmd.Flags) (int, error) {
	plan := new(status.Plan)
	if fl.String("config") != "" && fl.String("address") == "" {
		err := c.wait("loading the configuration", func() (err error) {
			plan, err = planFromConfig(fl.String("config"), fl.String("adapter"), c.tell)
			return err
		})
		if err != nil {
			return exitUnknown, err
		}
	} else if err := c.request(fl, http.MethodGet, "plan", plan); err != nil {
		return exitUnknown, err
	}
	return c.showPlan(plan)
}

func runNotifyTest(c *console, fl caddycmd.Flags) (int, error) {
	shown := new(status.NotifyTest)
	var err error
	if fl.String("config") != "" && fl.String("address") == "" {
		err = c.wait("sending messages", func() (err error) {
			shown, err = notifyFromConfig(fl.String("config"), fl.String("adapter"))
			return err
		})
	} else {
		err = c.request(fl, http.MethodPost, "notify-test", shown)
	}
	if err != nil {
		return exitUnknown, err
	}
	if err := c.show(shown, shown.Text); err != nil {
		return exitUnknown, err
	}
	if !shown.AllTaken() {
		return exitNotInSync, nil
	}
	return exitInSync, nil
}

func (c *console) showStatus(s *status.Status) (int, error) {
	if err := c.show(s, s.Text); err != nil {
		return exitUnknown, err
	}
	switch {
	case s.InSync != nil && !*s.InSync:
		return exitNotInSync, nil
	case s.Unchecked():
		return exitUnknown, errors.New("the check was not done in time")
	case s.InSync == nil:
		return exitUnknown, errors.New("cannot tell whether all records are in sync")
	}
	return exitInSync, nil
}

func (c *console) showPlan(plan *status.Plan) (int, error) {
	if err := c.show(plan, plan.Text); err != nil {
		return exitUnknown, err
	}
	code := exitInSync
	var err error
	for _, g := range plan.Groups {
		if len(g.Lacking()) > 0 {
			code, err = exitUnknown, errors.New("cannot tell what would change of names whose zone is not known")
		}
	}
	for _, z := range plan.Zones {
		if z.Error != "" {
			code, err = max(code, exitUnknown), errors.New("cannot tell for all zones what would change")
		}
		if len(z.Changes) > 0 || z.Blocked() {
			code = exitNotInSync
		}
	}
	return code, err
}

func (c *console) show(v any, text func(color bool) string) error {
	if !c.json {
		_, err := io.WriteString(c.out, text(c.color))
		return err
	}
	return status.Encode(c.out, v)
}

// request asks the admin endpoint of the running Caddy.
func (c *console) request(fl caddycmd.Flags, method, what string, into any) error {
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		return fmt.Errorf("finding the admin endpoint: %w", err)
	}
	return c.wait("waiting for Caddy", func() error {
		resp, err := caddycmd.AdminAPIRequest(address, method, adminBase+what, http.Header{}, nil)
		if err != nil {
			return fmt.Errorf("asking Caddy at %s: %w%s", address, err, toStart(err, address))
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			return fmt.Errorf("reading the answer of Caddy at %s: %w", address, err)
		}
		return nil
	})
}

// toStart says what to do where no Caddy answers.
func toStart(err error, address string) string {
	if !unanswered(err) {
		return ""
	}
	return fmt.Sprintf("; start it with `caddy run`, or, if its admin endpoint is not %s, write --address and where that is", address)
}

// wait runs fn, not for ever, and shows what is being done, and that time passes.
func (c *console) wait(doing string, fn func() error) error {
	c.tell(doing)
	done := make(chan error, 1)
	go func() { done <- fn() }()
	began := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if time.Since(began) >= time.Second {
				fmt.Fprint(c.progress, "\r\033[K")
			}
			return err
		case <-ticker.C:
			waited := time.Since(began).Round(time.Second)
			fmt.Fprintf(c.progress, "\r\033[K%s: %s", c.doing.Load(), waited)
			if waited >= requestTimeout {
				fmt.Fprintln(c.progress)
				return fmt.Errorf("%s: no answer within %s", doing, requestTimeout)
			}
		}
	}
}

func doctorCommand() *cobra.Command {
	cmd := subcommand("doctor", "Says why it does not work, and what to change", `
Asks each IP source, the router, the DNS provider, and public DNS, says of each
answer whether it is as it should be, and what to change where it is not. It
writes nothing, and takes at most 30 seconds.

It looks at the configuration that the running Caddy has; with --config, or
where none runs, at that file's or the Caddyfile's of this directory. For what
the configuration takes from the environment, run it in that of Caddy.

The exit status is 0 if all is well, 2 if something is wrong, and 1 if that
cannot be told.`, runDoctor)
	cmd.Example = "  caddy dynamic-dns doctor\n  caddy dynamic-dns doctor --config /etc/caddy/Caddyfile"
	cmd.Flags().String("resolver", "", "The DNS resolver to ask, instead of the system's")
	return cmd
}

func runDoctor(c *console, fl caddycmd.Flags) (int, error) {
	var d *status.Diagnosis
	err := c.wait("asking IP sources, the provider and DNS", func() (err error) {
		d, err = diagnose(fl)
		return err
	})
	if err == nil {
		err = c.show(d, d.Text)
	}
	switch {
	case err != nil:
		return exitUnknown, err
	case d.Verdict == status.VerdictWrong:
		return exitNotInSync, nil
	case d.Verdict == status.VerdictUnknown:
		return exitUnknown, errors.New("not all could be told")
	}
	return exitInSync, nil
}

// tokenCommand makes credentials for a client of the dyndns handler.
func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token [<user>]",
		Short: "Makes a password for a client of the dyndns server",
		Long: `
Makes a random token and prints it with the user for the Caddyfile's dyndns
block, who needs hosts of their own. The token goes into the password field of
the router or client, and is nowhere kept: Caddy has its hash alone.

A token is compared faster than a password of "caddy hash-password", and is as
safe, because nobody can guess it. It has letters and digits only, so that it
can stand in any URL.`,
		Example: `  caddy dynamic-dns token
  caddy dynamic-dns token home`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			user := append(args, "router")[0]
			if user == "" || strings.ContainsAny(user, " \t\n:\"`{}#") {
				return fmt.Errorf("%q cannot be the name of a user; write one without spaces, colons, quotes, braces and #, such as home", user)
			}
			return printToken(cmd.OutOrStdout(), user)
		},
	}
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func printToken(w io.Writer, user string) error {
	token := rand.Text()
	_, err := fmt.Fprintf(w, "password: %s\nuser %s sha256:%x {\n\thosts home.example.com\n}\n", token, user, sha256.Sum256([]byte(token)))
	return err
}
