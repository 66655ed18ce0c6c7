// Package errkind tells errors apart by what they are about.
package errkind

import "regexp"

// numbers are what differs between errors that are the same: ports, times,
// and the identifiers of requests.
var numbers = regexp.MustCompile(`[0-9a-fA-F-]*[0-9][0-9a-fA-F-]*`)

// Of returns what errors have in common that are the same, for the log to say it
// once.
func Of(text string) string { return numbers.ReplaceAllString(text, "") }
