package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/conf"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/ipaddr"
	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/internal/placeholders"
)

const (
	maxOutput = 4 << 10
	// maxShown is how much of its standard error is shown.
	maxShown = 512
	// lateOutput is how long to read on from programs that the one has left
	// behind.
	lateOutput = time.Second
)

// program is what to run.
type program struct {
	path    string
	args    []string
	dir     string
	timeout time.Duration
	// redact cuts secrets out of a text.
	redact func(string) string
}

// resolve replaces placeholders, which must have a value. Other braces stay, for
// many programs have a use for them.
func resolve(raw string) (string, error) {
	resolved, err := caddy.NewReplacer().ReplaceOrErr(raw, true, false)
	if err != nil {
		_, err = placeholders.Resolve(raw) // says it better
	}
	return resolved, err
}

// secretName is how an argument begins whose value no error may have: an option,
// a header or a variable of that name. secretURL has a password.
var (
	secretName = regexp.MustCompile(`(?i)^[\w-]*(?:token|secret|passw|key|auth|cookie)[\w-]*(?:[=:]|$)`)
	secretURL  = regexp.MustCompile(`://[^/\s]*@`)
)

// redactor returns what cuts the secrets of the arguments out of a text: the
// values of placeholders, and what seems to be a secret by its name, be that in
// the same argument or in the one before.
func redactor(args []string) func(string) string {
	var secrets []string
	for i, arg := range args {
		name := secretName.FindString(arg)
		switch {
		case name != "" && name != arg:
			secrets = append(secrets, strings.Fields(arg[len(name):])...)
			fallthrough
		case placeholders.In(arg), secretURL.MatchString(arg), i > 0 && secretName.FindString(args[i-1]) == args[i-1]:
			secrets = append(secrets, arg)
		}
	}
	config, err := json.Marshal(secrets)
	if err != nil {
		return func(string) string { return "[redacted]" }
	}
	return conf.Redactor(config)
}

// run runs the program and returns what it prints.
func (p *program) run(parent context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(parent, p.timeout)
	defer cancel()
	stdout, stderr := &head{full: cancel}, &head{full: func() {}}
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C"}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = lateOutput
	inGroup(cmd)

	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		endGroup(cmd)
	}
	addrs, silence := parse(stdout.String())
	switch {
	case stdout.cut:
		err = errTooMuch
	case parent.Err() != nil:
		return nil, parent.Err()
	case ctx.Err() != nil:
		err = fmt.Errorf("it took longer than %s and was killed", p.timeout)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
	case silence == nil:
		return addrs, nil
	default:
		// Half a secret would not be found.
		_, err = parse(p.redact(stdout.String()))
		err = cmp.Or(err, silence)
	}
	text := strings.Join(strings.Fields(p.redact(stderr.String())), " ")
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "..."
	}
	if text != "" {
		text = fmt.Sprintf("; it says %q", text)
	}
	return nil, fmt.Errorf("running %s: %s%s", p.path, p.redact(err.Error()), text)
}

var (
	errTooMuch = fmt.Errorf("it printed more than %d bytes; it should print addresses and nothing else", maxOutput)
	errSilent  = errors.New("it printed no address")
)

// parse reads addresses with commas or white space between them. They are all
// that is printed, or none.
func parse(output string) (addrs []netip.Addr, err error) {
	for _, word := range strings.FieldsFunc(output, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
		addr, err := ipaddr.Parse(word)
		if err != nil {
			return nil, fmt.Errorf("it printed something else than addresses: %w", err)
		}
		if !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, errSilent
	}
	return addrs, nil
}

// head keeps the beginning of what is written to it, and calls full when there is
// more.
type head struct {
	kept []byte
	full func()
	cut  bool
}

func (h *head) Write(b []byte) (int, error) {
	room := min(len(b), maxOutput-len(h.kept))
	h.kept = append(h.kept, b[:room]...)
	if room < len(b) {
		h.cut = true
		h.full()
	}
	return len(b), nil
}

func (h *head) String() string { return string(h.kept) }
