// Package options reads the options of the DNS provider modules from the
// Caddyfile and resolves their placeholders. Its errors never show a value,
// for any of them may be a secret, or a piece of one in the wrong place.
package options

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Option is one option of a provider: a name and a value.
type Option struct {
	Name string

	// Further names that the Caddyfile understands.
	Aliases []string

	// Where the value as it was configured is kept. Nil if Set is given.
	Value *string

	// Where Resolve puts the value without placeholders, in normal form.
	Resolved *string

	// Normalize returns the normal form of a value that has no placeholders,
	// or an error that says what to write instead, without the value.
	Normalize func(string) (string, error)

	// What to write, if the option may not be left out.
	Required string

	// Set takes the value of an option that is not a string.
	Set func(string) error

	// Values and ResolvedValues take the place of Value and Resolved for an
	// option that has several values on its line.
	Values, ResolvedValues *[]string
}

// Parse reads the block of a provider, one option a line. The provider's name
// and the arguments that it takes have been consumed.
func Parse(d *caddyfile.Dispenser, opts []Option) error {
	if d.NextArg() {
		return d.Errf("too many arguments; options are written one a line in a block: %s", names(opts))
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		i := slices.IndexFunc(opts, func(o Option) bool {
			return o.Name == d.Val() || slices.Contains(o.Aliases, d.Val())
		})
		if i < 0 {
			return d.Errf("unrecognized subdirective %s; write one of: %s", shown(d.Val()), names(opts))
		}
		o := opts[i]
		if seen[o.Name] {
			return d.Errf("%s is given twice; keep one", o.Name)
		}
		seen[o.Name] = true
		values := d.RemainingArgs()
		switch {
		case len(values) == 0 && o.Values != nil:
			return d.Errf("%s has no value; write: %s <values...>", o.Name, o.Name)
		case len(values) == 0:
			return d.Errf("%s has no value; write: %s <value>", o.Name, o.Name)
		case len(values) > 1 && o.Values == nil:
			return d.Errf("%s takes one value; put a value that has spaces in quotes", o.Name)
		}
		if d.NextBlock(d.Nesting()) {
			return d.Errf("%s takes no block", o.Name)
		}
		for _, value := range values {
			if err := o.Take(value); err != nil {
				return d.Errf("%s: %w", o.Name, err)
			}
		}
	}
	if err := missing(opts); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Resolve puts the values of opts without placeholders where they are wanted.
func Resolve(opts []Option) error {
	for _, o := range opts {
		if o.Value != nil {
			value, err := o.resolve(*o.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", o.Name, err)
			}
			*o.Resolved = value
		}
		if o.Values != nil {
			*o.ResolvedValues = nil
			for _, raw := range *o.Values {
				value, err := o.resolve(raw)
				if err == nil && value == "" {
					err = errEmpty
				}
				if err != nil {
					return fmt.Errorf("%s: %w", o.Name, err)
				}
				*o.ResolvedValues = append(*o.ResolvedValues, value)
			}
		}
	}
	return missing(opts)
}

func (o Option) resolve(raw string) (string, error) {
	value, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err != nil {
		return "", placeholderError(err)
	}
	if value != "" && o.Normalize != nil {
		return o.Normalize(value)
	}
	return value, nil
}

var errEmpty = errors.New("the value is empty")

// Take takes the option's value as the Caddyfile has it.
func (o Option) Take(value string) error {
	if value == "" {
		return errEmpty
	}
	if o.Set != nil {
		return o.Set(value)
	}
	if o.Value != nil && *o.Value != "" {
		return errors.New("already given; keep one")
	}
	if o.Normalize != nil && !strings.Contains(value, "{") {
		if _, err := o.Normalize(value); err != nil {
			return err
		}
	}
	if o.Values != nil {
		*o.Values = append(*o.Values, value)
		return nil
	}
	*o.Value = value
	return nil
}

func missing(opts []Option) error {
	for _, o := range opts {
		if o.Required != "" && *o.Value == "" {
			return fmt.Errorf("missing %s; write: %s", o.Name, o.Required)
		}
	}
	return nil
}

func names(opts []Option) string {
	s := make([]string, len(opts))
	for i, o := range opts {
		s[i] = o.Name
	}
	return strings.Join(s, ", ")
}

var optionName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,29}$`)

// shown is what a message may say of a word that should be an option's name:
// in its place there may be a token whose option's name was forgotten.
func shown(word string) string {
	if optionName.MatchString(word) {
		return fmt.Sprintf("%q", word)
	}
	return "(not shown, for it may be a secret)"
}

var namedPlaceholder = regexp.MustCompile(`\{(env|file)\.[^{}]+\}`)

// placeholderError keeps a secret that was put in braces out of the message.
func placeholderError(err error) error {
	if name := namedPlaceholder.FindString(err.Error()); name != "" {
		return fmt.Errorf("%s is empty or not there", name)
	}
	return errors.New("unknown or empty placeholder; write {env.NAME}, {file./path}, or the value itself without braces")
}
