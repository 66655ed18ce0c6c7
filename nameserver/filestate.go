package nameserver

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/caddy-dynamic-dns/caddy-dynamic-dns/nameserver/internal/zonedata"
)

type sum = [sha256.Size]byte

// zoneFile is how a zone stands to its file.
type zoneFile struct {
	content *zonedata.Snapshot // what the file holds, or is to hold
	unsaved bool               // content is not in the file yet
	wanted  *declaration       // is in content
	applied *declaration       // is in the file
	problem error              // what of the configuration cannot be
	rival   bool               // that is because another Caddy has this one's name
	bad     *badFile           // what is in the file's place, if that is no zone

	seen     sum // of the file that content was read from, or written to
	modified time.Time
	size     int64

	pending      sum // of a file that may not be whole yet
	pendingSince time.Time

	kept   sum // of the good copy
	keptAt time.Time
}

// badFile is a file that is no zone.
type badFile struct {
	err  error
	data []byte
	sum  sum
}

// error says what is wrong with the file, and what happens next.
func (b *badFile) error(key string) error {
	if b == nil {
		return nil
	}
	return fmt.Errorf("refusing zone file: %w; the last good content is served, and the next change moves the file to %s", b.err, key+badSuffix)
}

const (
	badSuffix  = ".bad"
	goodSuffix = ".good"
)
