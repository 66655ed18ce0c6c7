package detect

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/ipsources"
)

const (
	// complainAgain is how often a failure that lasts is worth a warning.
	complainAgain = 24 * time.Hour
	// patience is how long a family may be missed, while the other one is
	// found, before that is worth a warning.
	patience = 10 * time.Minute
	// maxCauses bounds how many different causes one episode is said to have.
	maxCauses = 16
)

// errNothing is the answer of a source that cannot know the family, or whose
// addresses may not be published.
var errNothing = errors.New("knows no address that may be published")

// episode is a series of checks that did not find a family.
type episode struct {
	since time.Time
	// causes are those that occurred, and when each last counted as news.
	causes map[string]time.Time
	warned bool
	// pending is set while a source wants to be asked again soon.
	pending bool
}

// said is what the log says of a family.
type said struct {
	episode
	lost    time.Time // when a warning last said that the family is lost
	doubted time.Time // when a warning last said that its addresses are doubtful
}

// trouble is why a check did not find a family.
type trouble struct {
	cause string
	// noFault is set if all sources are well, and just cannot know the family.
	noFault bool
	// doubt is set if a source has reason to doubt what it was told, soon if
	// one wants to be asked again before that is settled.
	doubt, soon bool
}

// complaint is what to log about a failure.
type complaint struct {
	warn       bool
	lasting    time.Duration
	neverKnown bool
}

// complain decides what a failure is worth. alone means that no other enabled
// family is found either.
//
// A warning is due at once, and for each cause once, if there is no address at
// all or reason to doubt one. It is due after a while if a family is lost of
// which an address was known; that is said once a day, however often it comes
// and goes. And it is due again after a day for all that lasts, except where
// the machine just lacks the family.
func (s *said) complain(t trouble, alone, neverKnown bool, now time.Time) complaint {
	if s.since.IsZero() {
		s.since, s.causes = now, make(map[string]time.Time)
	}
	c := complaint{lasting: now.Sub(s.since), neverKnown: neverKnown}
	s.pending = t.soon && c.lasting < patience
	if s.pending {
		return c
	}
	last, known := s.causes[t.cause]
	news := known && now.Sub(last) >= complainAgain || !known && len(s.causes) < maxCauses
	if news {
		s.causes[t.cause] = now
	}
	lost := !c.neverKnown && !s.warned && c.lasting >= patience && (s.lost.IsZero() || now.Sub(s.lost) >= complainAgain)
	switch {
	case news && (alone || t.doubt), news && known && !t.noFault:
		c.warn = true
	case lost:
		c.warn, s.lost = true, now
	}
	s.warned = s.warned || c.warn
	return c
}

// doubt notes doubts about addresses that are published all the same. It reports
// whether these are worth a warning.
func (s *said) doubt(changed bool, now time.Time) bool {
	if !changed && !s.doubted.IsZero() && now.Sub(s.doubted) < complainAgain {
		return false
	}
	s.doubted = now
	return true
}

// newTrouble sums up what the sources said.
func newTrouble(problems []error) trouble {
	t := trouble{noFault: true}
	var causes []string
	for _, err := range problems {
		cause := oneLine(err)
		if e, ok := errors.AsType[*ipsources.DetailedError](err); ok {
			cause = strings.Replace(cause, oneLine(errors.New(e.Details)), "", 1)
		}
		causes = append(causes, numbers.ReplaceAllString(cause, ""))
		_, absent := errors.AsType[*ipsources.NoFamilyError](err)
		t.noFault = t.noFault && (absent || errors.Is(err, errNothing))
		_, doubt := errors.AsType[*ipsources.DoubtError](err)
		_, soon := errors.AsType[*ipsources.SoonError](err)
		t.doubt, t.soon = t.doubt || doubt, t.soon || soon
	}
	t.cause = strings.Join(causes, "; ")
	return t
}

// numbers are what may differ between errors of one cause: ports, times and IDs.
var numbers = regexp.MustCompile(`[0-9a-fA-F-]*[0-9][0-9a-fA-F-]*`)

// oneLine writes joined errors in one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
