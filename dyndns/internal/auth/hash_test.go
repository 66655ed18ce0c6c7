package auth

import (
	"strings"
	"testing"
)

// The hashes of "secret", as caddy hash-password prints them, at little cost.
const (
	bcryptOfSecret   = "$2a$04$6K8GXzyjHAvaVMflS5lVl.WXiSd6rWsHrYUbwwg9kOW9Q3muphiW6"
	argon2idOfSecret = "$argon2id$v=19$m=64,t=1,p=1$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc"
	sha256OfSecret   = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
)

func TestHashes(t *testing.T) {
	for _, text := range []string{
		bcryptOfSecret,
		argon2idOfSecret,
		"$argon2id$v=19$m=47104,t=1,p=1$Fgm/k7F3k4tWIAQcYuf0dQ$Mxzl0JH5X6r66u0i7sDAjpYTn4kydOX9UGTRjU2TPd8",
		sha256OfSecret,
		"sha256:" + strings.ToUpper(strings.TrimPrefix(sha256OfSecret, "sha256:")),
	} {
		h, err := ParseHash(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !h.compare([]byte("secret")) || h.compare([]byte("Secret")) || h.compare(nil) {
			t.Errorf("%s is compared wrongly", text)
		}
	}
}

func TestToken(t *testing.T) {
	token, text := NewToken()
	h, err := ParseHash(text)
	if err != nil || !h.compare([]byte(token)) {
		t.Errorf("token %s, hash %s: %v", token, text, err)
	}
	if other, _ := NewToken(); other == token {
		t.Errorf("twice the token %s", token)
	}
	// What routers take in any field and URL, and 128 random bits.
	if len(token) < 26 || len(token) > 32 || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		t.Errorf("token %s", token)
	}
}

// TestHashTeaches: what is no hash is refused, and not repeated, since it may
// be the password.
func TestHashTeaches(t *testing.T) {
	const no, slow, token = "this is no hash of a password", "longer than clients wait", `what follows "sha256:" is not the 64`
	for text, want := range map[string]string{
		"":                             no,
		"my password":                  no,
		"$2a$":                         no,
		bcryptOfSecret[:59]:            no,
		bcryptOfSecret + "x":           no,
		"$2a$99$" + bcryptOfSecret[7:]: no,
		"$2a$17$" + bcryptOfSecret[7:]: slow,
		"JDJhJDA0JDZLOEdYenlqSEF2YVZNZmxTNWxWbC5XWGlTZDZyV3NIcllVYnd3Zzlrt": no,
		"sha256:": token,
		"sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a2":                                   token,
		"sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25bff":                               token,
		"sha256:zzb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b":                                 token,
		"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b":                                        no,
		"$argon2i$v=19$m=64,t=1,p=1$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc":           no,
		"$argon2id$v=16$m=64,t=1,p=1$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc":          no,
		"$argon2id$v=19$m=64,t=0,p=1$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc":          no,
		"$argon2id$v=19$m=64,t=1,p=0$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc":          no,
		"$argon2id$v=19$m=64,t=1,p=256$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc":        no,
		"$argon2id$v=19$m=64,t=1,p=1,x=1$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc":      no,
		"$argon2id$v=19$m=64,t=1$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc":              no,
		"$argon2id$v=19$m=64,t=1,p=1$$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc":                                no,
		"$argon2id$v=19$m=64,t=1,p=1$1INZJgI2dtgn1ska9mMuMQ$":                                                     no,
		"$argon2id$v=19$m=64,t=1,p=1$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc$x":        no,
		"$argon2id$v=19$m=4294967295,t=1,p=1$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc":  slow,
		"$argon2id$v=19$m=64,t=4294967295,p=1$1INZJgI2dtgn1ska9mMuMQ$1PtZThHZhrsAGr6AWiHNNb2kZmM5XSXlnj1edupHrfc": slow,
	} {
		_, err := ParseHash(text)
		switch {
		case err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%s: got %v, want %s", text, err, want)
		case len(text) > 8 && strings.Contains(err.Error(), text):
			t.Errorf("repeats it: %v", err)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	for _, text := range []string{bcryptOfSecret, argon2idOfSecret, sha256OfSecret, "$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA", "$2", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHash(text)
		switch {
		case err == nil && h.token:
			h.compare([]byte("secret"))
		case err != nil && len(text) > 8 && strings.Contains(err.Error(), text) && !strings.Contains(errHash.Error()+errSlow.Error(), text):
			t.Errorf("repeats it: %v", err)
		}
	})
}
