// Package beattest has in tests a service that heartbeats go to.
package beattest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// Service takes the requests of heartbeats, in place of a network.
type Service struct {
	mu    sync.Mutex
	paths []string
}

// RoundTrip implements http.RoundTripper.
func (s *Service) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths = append(s.paths, r.URL.Path)
	return httptest.NewRecorder().Result(), nil
}

// Since returns the paths that were asked for since the last call.
func (s *Service) Since() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.paths, " ")
	s.paths = nil
	return all
}
