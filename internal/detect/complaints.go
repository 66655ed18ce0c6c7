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
	// patience is how long what a source wants to settle soon is no news.
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
	// lost is set if the family was lost, lasted is for how long it was not
	// found. Both are of an episode that has ended.
	lost   bool
	lasted time.Duration
}

// said is what the log says of a family.
type said struct {
	episode
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
	warn bool
	// lost is set if the family is lost by this failure.
	lost       bool
	lasting    time.Duration
	neverKnown bool
}

// complain decides what a failure is worth. alone means that no other enabled
// family is found either.
//
// A warning is due at once, and for each cause once, if there is no address at
// all or reason to doubt one. It is due for a family that is lost. And it is due
// again after a day for all that lasts, except where the machine just lacks the
// family.
func (s *said) complain(t trouble, alone, neverKnown, lost bool, now time.Time) complaint {
	if s.since.IsZero() {
		s.since, s.causes = now, make(map[string]time.Time)
	}
	c := complaint{lost: lost, lasting: now.Sub(s.since), neverKnown: neverKnown}
	s.pending = t.soon && c.lasting < patience && !lost
	if s.pending {
		return c
	}
	last, known := s.causes[t.cause]
	news := known && now.Sub(last) >= complainAgain || !known && len(s.causes) < maxCauses
	if news {
		s.causes[t.cause] = now
	}
	c.warn = news && (alone || t.doubt) || news && known && !t.noFault || lost && !s.warned
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
