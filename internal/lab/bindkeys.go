//go:build linux

package lab

import (
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// AddKey lets updates and transfers be signed with one more key, of which it
// returns the secret.
func (b *BIND) AddKey(name string) (secret string) {
	b.t.Helper()
	key := NewTSIGKey(b.t, name)
	b.configure(func(conf string) string {
		return key + strings.NewReplacer(
			"{ key "+b.KeyName+"; ", "{ key "+b.KeyName+"; key "+name+"; ",
			"{ grant "+b.KeyName+" zonesub ANY; ", "{ grant "+b.KeyName+" zonesub ANY; grant "+name+" zonesub ANY; ",
		).Replace(conf)
	})
	return regexp.MustCompile(`secret "([^"]+)"`).FindStringSubmatch(key)[1]
}

// RemoveKey takes such a key back.
func (b *BIND) RemoveKey(name string) {
	b.t.Helper()
	statement := regexp.MustCompile(`key "` + name + `" \{[^}]*\};`)
	b.configure(func(conf string) string {
		return strings.NewReplacer(" key "+name+";", "", " grant "+name+" zonesub ANY;", "").Replace(statement.ReplaceAllString(conf, ""))
	})
}

// configure has named take another configuration.
func (b *BIND) configure(change func(string) string) {
	b.t.Helper()
	file := filepath.Join(filepath.Dir(b.log), "named.conf")
	WriteFile(b.t, file, change(readFile(b.t, file)))
	done := func() int { return strings.Count(b.Log(), "reloading configuration succeeded") }
	before := done()
	_ = b.cmd.Process.Signal(syscall.SIGHUP)
	Eventually(b.t, 10*time.Second, "the new configuration of named", func() bool { return done() > before })
}
