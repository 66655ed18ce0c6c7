package status

import "time"

// NotifyTest is what `POST /dynamic_dns/notify-test` answers: who has taken a
// message.
type NotifyTest struct {
	// When that was done.
	Time time.Time `json:"time"`
	// The recipients, in the order of the configuration.
	Recipients []NotifyRecipient `json:"recipients"`
}

// NotifyRecipient is a URL that notifications are sent to.
type NotifyRecipient struct {
	// The URL, without what could be a secret.
	URL string `json:"url"`
	// Whether the message was taken.
	Taken bool `json:"taken"`
	// Why it was not.
	Error string `json:"error,omitempty"`
}

// AllTaken reports whether each recipient has taken the message.
func (n *NotifyTest) AllTaken() bool {
	for _, r := range n.Recipients {
		if !r.Taken {
			return false
		}
	}
	return true
}

// Text writes who has taken the message for people, as that of Status.
func (n *NotifyTest) Text(color bool) string {
	p := &printer{color: color}
	for _, r := range n.Recipients {
		if r.Taken {
			p.line(0, "%s: %s", r.URL, p.paint(green, "taken"))
		} else {
			p.line(0, "%s: %s: %s", r.URL, p.paint(red, "not taken"), r.Error)
		}
	}
	return p.text.String()
}
