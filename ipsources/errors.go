package ipsources

import "time"

// SoonError asks the app to come back before the check interval is over. What
// may be settled then is not worth a warning yet.
type SoonError struct {
	// How long to wait.
	After time.Duration
	// What happened.
	Err error
}

func (e *SoonError) Error() string { return e.Err.Error() }

func (e *SoonError) Unwrap() error { return e.Err }

// NoFamilyError says that this machine lacks an address family, for instance
// because there is no route for it. Many machines have no IPv6, so nobody is
// warned while the addresses of the other family are known.
type NoFamilyError struct {
	// What is missing.
	Err error
}

func (e *NoFamilyError) Error() string { return e.Err.Error() }

func (e *NoFamilyError) Unwrap() error { return e.Err }

// DoubtError says that the source has reason to doubt what it was told, such as
// services that contradict each other. It is worth a warning whatever else is
// known. It may come together with the addresses that it is about, which are
// published in spite of it.
type DoubtError struct {
	// The reason.
	Err error
}

func (e *DoubtError) Error() string { return e.Err.Error() }

func (e *DoubtError) Unwrap() error { return e.Err }

// UnsettledError says that services have answered, and that too few of them
// agree to believe an address that is new. The sources after this one are told
// the votes. If they cannot settle it either, and nobody contradicts, the app
// believes the address after three checks alike.
type UnsettledError struct {
	// What they said.
	Votes []Vote
	// Why that is not enough.
	Err error
}

func (e *UnsettledError) Error() string { return e.Err.Error() }

func (e *UnsettledError) Unwrap() error { return e.Err }

// DetailedError separates what went wrong from details that vary from check to
// check. Two errors that differ in nothing but details are not news.
type DetailedError struct {
	// What went wrong.
	Err error
	// The details. They follow the error's text, after a colon.
	Details string
}

func (e *DetailedError) Error() string { return e.Err.Error() + ": " + e.Details }

func (e *DetailedError) Unwrap() error { return e.Err }

// HoldError says that the source would know, and what it has is being replaced or
// cannot be read. DNS stays as it is: the sources after it are not asked, for what
// they know is something else.
type HoldError struct {
	// What is the matter.
	Err error
}

func (e *HoldError) Error() string { return e.Err.Error() }

func (e *HoldError) Unwrap() error { return e.Err }
