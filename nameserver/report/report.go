// Package report holds what the admin endpoint of the name server answers. It
// is for clients of the endpoint as well, and for whoever shows it.
package report

import "time"

// Status is what `GET /nameserver/status` returns.
type Status struct {
	// The name of this Caddy, which marks its records in the zone files.
	Name string `json:"name"`
	// The addresses that are listened on.
	Listen []string `json:"listen"`
	// The zones that are served.
	Zones []ZoneStatus `json:"zones"`
}

// ZoneStatus is how a zone is.
type ZoneStatus struct {
	// Its name, with a dot at its end.
	Name string `json:"name"`
	// Whether queries are answered. If not, the error says why.
	Served bool `json:"served"`
	// The serial of its SOA record.
	Serial uint32 `json:"serial,omitempty"`
	// How many records it has, with its SOA record.
	Records int `json:"records,omitempty"`
	// Where its file is in the storage.
	File string `json:"file"`
	// What is wrong with it, and what happens next.
	Error string `json:"error,omitempty"`
	// The last file that was no zone, if it was set aside.
	BadFile *BadFile `json:"bad_file,omitempty"`
	// The secondary name servers that are told of changes.
	Secondaries []SecondaryStatus `json:"secondaries,omitempty"`
	// What the parent zone says of it, as of the last check.
	Delegation *DelegationStatus `json:"delegation,omitempty"`
}

// BadFile is a zone file that could not be read, and was moved out of the way.
type BadFile struct {
	// Where it is in the storage.
	File string `json:"file"`
	// What is wrong with it, with the line.
	Error string `json:"error"`
}

// SecondaryStatus is how a secondary name server is.
type SecondaryStatus struct {
	// Its address and port.
	Address string `json:"address"`
	// The serial that it serves, if it answers.
	Serial uint32 `json:"serial,omitempty"`
	// Whether that is the zone's.
	UpToDate bool `json:"up_to_date"`
	// Why its serial is not known.
	Error string `json:"error,omitempty"`
}

// DelegationStatus is what the servers of the parent zone say.
type DelegationStatus struct {
	// When they were asked.
	Checked time.Time `json:"checked"`
	// Why they could not be.
	Error string `json:"error,omitempty"`
	*Delegation
}

// Delegation is what the parent says of a zone.
type Delegation struct {
	// Parent is the name of the parent zone.
	Parent string `json:"parent,omitempty"`
	// Servers are those of its servers that answered.
	Servers []string `json:"servers,omitempty"`
	// Right is whether all of them say what they should.
	Right bool `json:"right"`
	// Write is the records that have to be written at the parent.
	Write []string `json:"write,omitempty"`
	// Delete is the records that have to be deleted there.
	Delete []string `json:"delete,omitempty"`
}

// Well reports whether nothing is wrong that somebody has to mend.
func (s *Status) Well() bool {
	for i := range s.Zones {
		if !s.Zones[i].Well() {
			return false
		}
	}
	return true
}

// Well reports whether nothing is wrong with the zone that somebody has to
// mend.
func (z *ZoneStatus) Well() bool {
	return z.Served && z.Error == "" && (z.Delegation == nil || z.Delegation.Delegation == nil || z.Delegation.Right)
}
