package dynamicdns

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// tokenCommand makes credentials for a client of the dyndns handler.
func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token [<user>]",
		Short: "Makes a password for a client of the dyndns server",
		Long: `
Makes a random token and prints it with the line for the Caddyfile's dyndns
block. The token goes into the password field of the router or client, and is
nowhere kept: Caddy has its hash alone.

A token is compared faster than a password of "caddy hash-password", and is as
safe, because nobody can guess it. It has letters and digits only, so that it
can stand in any URL.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return printToken(cmd.OutOrStdout(), append(args, "router")[0])
		},
	}
	cmd.DisableFlagsInUseLine = true
	return cmd
}

func printToken(w io.Writer, user string) error {
	token := rand.Text()
	_, err := fmt.Fprintf(w, "password: %s\nuser %s sha256:%x\n", token, user, sha256.Sum256([]byte(token)))
	return err
}
