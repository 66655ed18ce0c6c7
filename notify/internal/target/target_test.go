package target

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
)

// TestRefused: a URL that cannot work is refused, and the error says what to
// write instead, without the secret.
func TestRefused(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                       "write it like `ntfy://ntfy.sh/<topic>`",
		"ntfy.sh/s3cret":                         "does not begin with a service; write it like `ntfy://",
		"ntfy://":                                "has no server; write it like `ntfy://ntfy.sh/<topic>`",
		"ntfy://ntfy.sh":                         "topic is required",
		"ntfy+https://ntfy.sh/s3cret":            "no other protocol after a +",
		"ntfy://ntfy.sh/s3cret?s3cretkey=s3cret": "not a valid config key",
		"https://ntfy.sh/s3cret":                 "write it like `ntfy://ntfy.sh/<topic>`",
		"https://discord.com/api/webhooks/1/s3cret": "write it like `discord://",
		"https://api.telegram.org/bots3cret":        "write it like `telegram://",
		"https://hooks.slack.com/services/s3cret":   "write it like `slack://",
		"http://hooks.example.com/s3cret":           "put generic+ before it: `generic+http://",
		"generic://":                                "has no server",
		"mailto:s3cret@example.com":                 "write it like `smtp://",
		"smtp://user:s3cret@mail.example.com":       "fromAddress missing",
		"smtp://user:s3/cret@mail.example.com":      "such as %2F for / in a password; write it like `smtp://",
		"smtp://user:s3cret@[::1/":                  "this is no URL",
		"smtp://user:s3cret@mail.example.com:587/?from=a@example.com&to=b@example.com&auth=s3cret": "[redacted]",
		"telegramm://s3cret@telegram":                       "no service telegramm; write it like `telegram://",
		"telegram://s3cret@telegram":                        "write it like `telegram://<token>@telegram?chats=",
		"discord://s3cret":                                  "token missing",
		"pushbullet://s3cret":                               "incorrect size",
		"matrix://user:s3cret@matrix.example.com/?foo=1234": "not a valid config key",
		"logger://":                                         "leave it out",
		"s3cret://s3cret":                                   "no service of that name; there are bark, discord,",
		"teams://s3cret":                                    "write it like `teams://",
	} {
		to, err := Parse(raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v and error %v, want %s", raw, to, err, want)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "s3/cret") {
			t.Errorf("%s: the error has the secret: %v", raw, err)
		}
	}
}

// TestTelegramEnds: it sends by the client that waits for so long only.
func TestTelegramEnds(t *testing.T) {
	asked := ""
	client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		_, ends := r.Context().Deadline()
		asked = fmt.Sprintf("%s, ends: %t", r.URL.Host, ends)
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"ok": true}`)), Request: r}, nil
	})
	defer func() { client.Transport = nil }()
	to, err := Parse("telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@a")
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Deliver("title", "text"); err != nil || asked != "api.telegram.org, ends: true" {
		t.Errorf("asked %q, error %v", asked, err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestNames: what is shown of a URL has no secret, and making a target asks
// nobody.
func TestNames(t *testing.T) {
	for raw, want := range map[string]string{
		"ntfy://user:s3cret@ntfy.example.com:8080/s3cret":                                        "ntfy://ntfy.example.com:8080",
		"smtp://user:s3cret@mail.example.com:587/?from=s3cret@example.com&to=s3cret@example.com": "smtp://mail.example.com:587",
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@s3cret":         "telegram://…",
		"discord://s3cret@123456789":                                                         "discord://…",
		"slack://hook:WNA3PBYV6-F20DUQND3RQ-Webc4MAvoacrpPakR8phF0zi@webhook":                "slack://…",
		"pushover://shoutrrr:s3cret@s3cretuser/":                                             "pushover://…",
		"matrix://user:s3cret@127.0.0.1:1/?rooms=s3cret":                                     "matrix://127.0.0.1:1",
		"generic+https://hooks.example.com/s3cret?template=json":                             "generic://hooks.example.com",
		"gotify://gotify.example.com/AzyoeNS.D4iJLVa":                                        "gotify://gotify.example.com",
		"googlechat://chat.googleapis.com/v1/spaces/s3cret/messages?key=s3cret&token=s3cret": "googlechat://…",
		"hangouts://chat.googleapis.com/v1/spaces/s3cret/messages?key=s3cret&token=s3cret":   "hangouts://…",
		"mattermost://s3cret@chat.example.com/s3cret":                                        "mattermost://chat.example.com",
		"pushbullet://o.0123456789abcdefghijklmnopqrst12":                                    "pushbullet://…",
		"opsgenie://api.opsgenie.com/s3cret":                                                 "opsgenie://api.opsgenie.com",
	} {
		to, err := Parse(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		} else if to.String() != want {
			t.Errorf("%s: it is shown as %s, want %s", raw, to, want)
		}
	}
}

// TestServices: the tables know all services of shoutrrr.
func TestServices(t *testing.T) {
	all := new(router.ServiceRouter).ListServices()
	for _, service := range all {
		if _, ok := forms[service]; !ok && service != "logger" && service != "hangouts" {
			t.Errorf("there is no form of the URLs of %s", service)
		}
	}
	for service, form := range forms {
		if !slices.Contains(all, service) {
			t.Errorf("shoutrrr has no service %s", service)
		}
		if !strings.HasPrefix(form, service+":") && !strings.HasPrefix(form, service+"+") {
			t.Errorf("the form of %s is %s", service, form)
		}
	}
	for _, service := range slices.Concat(withServer, withTitle) {
		if _, ok := forms[service]; !ok {
			t.Errorf("%s is no service", service)
		}
	}
}

// request is what a stand-in of a service was asked.
type request struct{ path, auth, title, contentType, body string }

// serve is a service that answers with a status, and repeats what it was asked.
func serve(t *testing.T, status int) (host string, asked func() []request) {
	t.Helper()
	var got []request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		got = append(got, request{r.URL.RequestURI(), user + ":" + password, r.Header.Get("Title"), r.Header.Get("Content-Type"), string(body)})
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"id":"1","error":"no: %s %s %s"}`, r.URL, user, password)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), func() []request {
		all := got
		got = nil
		return all
	}
}

func deliver(t *testing.T, raw string) error {
	t.Helper()
	to, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return to.Deliver("The title: ü", "The text\nof ü")
}

func TestDelivers(t *testing.T) {
	host, asked := serve(t, http.StatusOK)
	for raw, want := range map[string]request{
		"ntfy://user:s3cret@" + host + "/topic?scheme=http": {"/topic", "user:s3cret", "The title: ü", "text/plain; charset=utf-8", "The text\nof ü"},
		"generic+http://" + host + "/hook?a=b":              {"/hook?a=b", ":", "", "text/plain", "The title: ü\nThe text\nof ü"},
		"generic://" + host + "/hook?disabletls=yes&template=json": {
			"/hook", ":", "", "application/json", `{"message":"The text\nof ü","title":"The title: ü"}`,
		},
		"mattermost://" + host + "/s3cret?disabletls=yes": {
			"/hooks/s3cret", ":", "", "application/json", `{"text":"The title: ü\nThe text\nof ü"}`,
		},
	} {
		to, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		// Nothing of a message is left for the next one.
		if err := to.Deliver("Another title", "Another text"); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		asked()
		if err := to.Deliver("The title: ü", "The text\nof ü"); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if got := asked(); len(got) != 1 || got[0] != want {
			t.Errorf("%s: asked\n%q, want\n%q", raw, got, want)
		}
	}
}

// TestErrors: they say what went wrong, and have no secret though Go and
// shoutrrr repeat URLs, and the service what it was asked.
func TestErrors(t *testing.T) {
	host, _ := serve(t, http.StatusForbidden)
	refuses := "127.0.0.1:1"
	for raw, want := range map[string]string{
		"generic+http://" + host + "/s3cret/hook":                                           "403 Forbidden",
		"generic+http://" + refuses + "/s3cret/hook?t=s3cret":                               "connection refused",
		"ntfy://user:s3cret@" + host + "/s3cret?scheme=http":                                "no: ",
		"ntfy://user:s3cret@" + refuses + "/s3cret?scheme=http":                             "connection refused",
		"matrix://user:s3cret@" + refuses + "/?disabletls=yes":                              "connection refused",
		"gotify://" + refuses + "/As3cret.D4iJLVa":                                          "connection refused",
		"smtp://user:s3cret@" + refuses + "/?from=s3cret@example.com&to=s3cret@example.com": "connection refused",
		"mattermost://" + refuses + "/s3cret?disabletls=yes":                                "connection refused",
	} {
		err := deliver(t, raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", raw, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error has the secret: %v", raw, err)
		}
	}
}

// TestMail through a real dialogue.
func TestMail(t *testing.T) {
	host, mail := serveMail(t, "")
	if err := deliver(t, "smtp://"+host+"/?from=caddy@example.com&to=me@example.com&encryption=none&starttls=no"); err != nil {
		t.Fatal(err)
	}
	got := <-mail
	for _, want := range []string{"MAIL FROM:<caddy@example.com>", "RCPT TO:<me@example.com>", "Subject: " + mime.QEncoding.Encode("utf-8", "The title: ü") + "\r\n", "\r\n\r\nThe text\r\nof ü\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	host, _ = serveMail(t, "RCPT")
	err := deliver(t, "smtp://"+host+"/?from=caddy@example.com&to=s3cret@example.com&encryption=none&starttls=no")
	if err == nil || !strings.Contains(err.Error(), "no such user") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("refused: %v", err)
	}
}

// serveMail is a mail server for one mail, of which it returns the dialogue. It
// refuses one command.
func serveMail(t *testing.T, refuse string) (host string, mail <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	out := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var all strings.Builder
		defer func() { out <- all.String() }()
		fmt.Fprint(conn, "220 test\r\n")
		inData := false
		for lines := bufio.NewReader(conn); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			all.WriteString(line)
			command, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case inData && line != ".\r\n":
			case inData, command != "DATA" && command != "QUIT" && command != refuse:
				inData = false
				fmt.Fprint(conn, "250 OK\r\n")
			case command == refuse:
				fmt.Fprintf(conn, "550 no such user: %s\r\n", strings.TrimSpace(line))
			case command == "DATA":
				inData = true
				fmt.Fprint(conn, "354 go on\r\n")
			default:
				fmt.Fprint(conn, "221 bye\r\n")
				return
			}
		}
	}()
	return listener.Addr().String(), out
}

// FuzzParse: foreign text is refused or taken, without a panic, and neither the
// error nor the name has what stands where secrets do.
func FuzzParse(f *testing.F) {
	for service, form := range forms {
		f.Add(form)
		f.Add(service + "://user:hiddensecret@host.example:80/hiddensecret?key=hiddensecret#hiddensecret")
		f.Add(service + "+https://hiddensecret@host.example/hiddensecret")
	}
	f.Add("matrix://h/?rooms=,")
	f.Add("smtp://%00@h/?from=%0a&to=%0d")
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.HasPrefix(raw, "hiddensecret") {
			return
		}
		to, err := Parse(raw)
		shown := fmt.Sprint(to, err)
		if strings.Contains(shown, "hiddensecret@") || strings.Contains(shown, "/hiddensecret") || strings.Contains(shown, ":hiddensecret") {
			t.Errorf("%q: %s", raw, shown)
		}
	})
}
