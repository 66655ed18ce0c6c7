package command

import (
	"os/exec"
	"strconv"
)

// inGroup has the program killed at the deadline with those that it started,
// which Windows finds by their parents.
func inGroup(cmd *exec.Cmd) {
	cmd.Cancel = func() error {
		if exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run() == nil {
			return nil
		}
		return cmd.Process.Kill()
	}
}

// endGroup can do nothing: the parent of those that are left is gone.
func endGroup(*exec.Cmd) error { return nil }
