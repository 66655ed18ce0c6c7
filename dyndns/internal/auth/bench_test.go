package auth

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkLogin: a router that has logged in before, or has a token.
func BenchmarkLogin(b *testing.B) {
	for name, text := range map[string]string{"password": bcryptOfSecret, "token": sha256OfSecret} {
		b.Run(name, func(b *testing.B) {
			hash, err := ParseHash(text)
			if err != nil {
				b.Fatal(err)
			}
			var users []*User
			for i := range 10_000 {
				users = append(users, &User{Name: fmt.Sprint("user", i), Hash: hash})
			}
			us, err := NewUsers(users)
			if err != nil {
				b.Fatal(err)
			}
			g := NewGuard(time.Now)
			client := netip.MustParseAddr("192.0.2.1")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Login(context.Background(), us, "user7", "secret", client); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
