// Package places remembers where the parts of a configuration were written, so
// that what is found wrong only when it is provisioned can be said with file
// and line. The JSON between the Caddyfile and the module has no room for
// that, so it is kept in the memory of the process: a configuration that was
// adapted elsewhere, as `caddy reload` does, has no places.
package places

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// Map tells where a part of a configuration was written, as file and line, by
// its path in the JSON. The whole has the empty path.
type Map map[string]string

// At returns the place of a part, or of the smallest that it belongs to and
// whose place is known, or "".
func (m Map) At(path string) string {
	for {
		if place, ok := m[path]; ok || path == "" {
			return place
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// kept is how many configurations are remembered. One is adapted and loaded at
// a time, save in tests.
const kept = 8

type memory struct {
	id     [sha256.Size]byte
	places Map
}

var (
	mu       sync.Mutex
	memories []memory
)

// Remember keeps the places of a configuration.
func Remember(config []byte, m Map) {
	id := identify(config)
	mu.Lock()
	defer mu.Unlock()
	memories = slices.DeleteFunc(memories, func(m memory) bool { return m.id == id })
	memories = append(memories, memory{id, m})
	memories = slices.Clone(memories[max(0, len(memories)-kept):])
}

// Recall returns the places of a configuration, or nil if nobody remembers
// them. They must not be changed.
func Recall(config []byte) Map {
	id := identify(config)
	mu.Lock()
	defer mu.Unlock()
	for _, m := range memories {
		if m.id == id {
			return m.places
		}
	}
	return nil
}

// identify tells configurations apart, whatever the order of their members:
// Caddy changes that.
func identify(config []byte) [sha256.Size]byte {
	var v any
	if json.Unmarshal(config, &v) == nil {
		if sorted, err := json.Marshal(v); err == nil {
			config = sorted
		}
	}
	return sha256.Sum256(config)
}
