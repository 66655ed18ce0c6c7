//go:build linux

package lab

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// insideVar tells a test that it runs inside a namespace.
const insideVar = "DYNAMIC_DNS_TEST_INSIDE"

// Inside reports whether Rerun started this process, and what it was told.
func Inside() (told string, ok bool) {
	told = os.Getenv(insideVar)
	return told, told != ""
}

// Rerun runs the test again in a process inside the namespace, because the
// threads of a Go process cannot all be moved there.
func (n *NS) Rerun(t *testing.T, tell string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", n.Name, program,
		"-test.run=^"+name+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), insideVar+"="+tell)
	out, err := cmd.CombinedOutput()
	t.Logf("in the namespace:\n%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+name+" ")) {
		t.Errorf("failed in the namespace: %v", err)
	}
}

// IP runs commands of ip(8), one a line, in the namespace that the test is in,
// or where the options say.
func IP(t testing.TB, commands string, options ...string) {
	t.Helper()
	cmd := exec.Command("ip", append(options, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(commands)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s\n%s", err, commands, out)
	}
}

// WANLink makes the interface wan0 for IP. Nothing but the test gives it
// addresses.
const WANLink = `
link add wan0 type veth peer name wan0p
link set wan0 addrgenmode none
link set wan0p addrgenmode none
link set wan0p up
link set wan0 up
`
