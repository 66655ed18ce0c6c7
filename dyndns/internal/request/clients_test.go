package request

import (
	"bufio"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// basic is how a client sends the user home with the password secret.
const basic = "Authorization: Basic aG9tZTpzZWNyZXQ=\n"

// TestClients: requests byte for byte, but for the ends of lines, which are
// those of HTTP. Those of curl, wget, ddclient and inadyn were recorded from
// the programs of Debian 12, and the others written after the clients'
// sources or manuals.
func TestClients(t *testing.T) {
	for _, tc := range []struct{ client, request, login, want string }{
		{
			client:  "curl",
			request: "GET /nic/update?hostname=a.example.com,b.example.com&myip=192.0.2.1 HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: curl/7.88.1\nAccept: */*\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]; b: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "curl -d",
			request: "POST /nic/update HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: curl/7.88.1\nAccept: */*\nContent-Length: 37\nContent-Type: application/x-www-form-urlencoded\n\nhostname=a.example.com&myip=192.0.2.1",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "wget, before the challenge",
			request: "GET /nic/update?hostname=a.example.com&myip=192.0.2.1 HTTP/1.1\nHost: ddns.example.com\nUser-Agent: Wget/1.21.3\nAccept: */*\nAccept-Encoding: identity\nConnection: Keep-Alive\n\n",
			login:   "none",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "wget, after the challenge",
			request: "GET /nic/update?hostname=a.example.com&myip=192.0.2.1 HTTP/1.1\nHost: ddns.example.com\nUser-Agent: Wget/1.21.3\nAccept: */*\nAccept-Encoding: identity\nConnection: Keep-Alive\n" + basic + "\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "ddclient 3.10",
			request: "GET /nic/update?system=dyndns&hostname=a.example.com,b.example.com&myip=192.0.2.1&wildcard=ON HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: ddclient/3.10.0\nConnection: close\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]; b: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "ddclient 4, both families",
			request: "GET /nic/update?hostname=a.example.com,b.example.com&myip=192.0.2.1,2001:db8::1 HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: ddclient/4.0.0\nAccept: */*\nConnection: close\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 AAAA 2001:db8::1 [192.0.2.1,2001:db8::1]; b: A 192.0.2.1 AAAA 2001:db8::1 [192.0.2.1,2001:db8::1]",
		},
		{
			client:  "ddclient, offline without an address",
			request: "GET /nic/update?hostname=a.example.com&myip=&wildcard=ON&mx=mail.example.com&backmx=YES HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: ddclient/4.0.0\nConnection: close\n\n",
			login:   "header home secret",
			want:    "a: A 203.0.113.200 [203.0.113.200]",
		},
		{
			client:  "inadyn, custom with %h and %i",
			request: "GET /nic/update?hostname=a.example.com&myip=192.0.2.1 HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: inadyn/2.10.0 https://github.com/troglobit/inadyn/issues\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "inadyn, IPv6",
			request: "GET /nic/update?hostname=a.example.com&myipv6=2001%3Adb8%3A%3A1 HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: inadyn/2.12.0 https://github.com/troglobit/inadyn/issues\n\n",
			login:   "header home secret",
			want:    "a: AAAA 2001:db8::1 [2001:db8::1]",
		},
		{
			client:  "inadyn 2.5, second host of a path with %h",
			request: "GET /nic/update?system=dyndns&hostname=a.example.com&myip=192.0.2.1b.example.com HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: inadyn/2.5 https://github.com/troglobit/inadyn/issues\n\n",
			login:   "header home secret",
			want:    "400 dnserr",
		},
		{
			client:  "UniFi Dream Machine, the host appended to the path",
			request: "GET /update?ip=192.0.2.1&hostname=a.example.com HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: inadyn/2.8.1 https://github.com/troglobit/inadyn/issues\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "UniFi Dream Machine, where it is not appended",
			request: "GET /update?ip=192.0.2.1&hostname= HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: inadyn/2.8.1 https://github.com/troglobit/inadyn/issues\n\n",
			login:   "header home secret",
			want:    "default: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "UniFi Dream Machine, the path masked",
			request: "GET /%5c/nic/update?hostname=a.example.com&myip=192.0.2.1 HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: inadyn/2.10.0 https://github.com/troglobit/inadyn/issues\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "UniFi, a slash too many and the host in the path",
			request: "GET //nic/update/a.example.com?ip=192.0.2.1&hostname=a.example.com HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: inadyn/2.8.1 https://github.com/troglobit/inadyn/issues\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "UniFi Dream Machine, user and password in the query",
			request: "GET /nic/update?user=home&password=secret&ipv4=192.0.2.1&force=0&mode=both&domain=a.example.com HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: inadyn/2.8.1 https://github.com/troglobit/inadyn/issues\n\n",
			login:   "header home secret, query home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "UniFi Security Gateway",
			request: "GET /nic/update?system=dyndns&hostname=a.example.com&myip=192.0.2.1 HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: ddclient/3.9.1\nConnection: close\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "OPNsense, dyndns2",
			request: "GET /nic/update?hostname=a.example.com%2Cb.example.com&myip=192.0.2.1&wildcard=NOCHG HTTP/1.1\nHost: ddns.example.com\nUser-Agent: OPNsense-dyndns\nAccept-Encoding: gzip, deflate\nAccept: */*\nConnection: keep-alive\n" + basic + "\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]; b: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "OPNsense, dyndns2 with IPv6",
			request: "GET /nic/update?hostname=a.example.com&myip=2001%3Adb8%3A%3A1&wildcard=NOCHG HTTP/1.1\nHost: ddns.example.com\nUser-Agent: OPNsense-dyndns\nAccept-Encoding: gzip, deflate\nAccept: */*\nConnection: keep-alive\n" + basic + "\n",
			login:   "header home secret",
			want:    "a: AAAA 2001:db8::1 [2001:db8::1]",
		},
		{
			client:  "OPNsense, custom POST",
			request: "POST /nic/update?hostname=a.example.com&myip=192.0.2.1 HTTP/1.1\nHost: ddns.example.com\nUser-Agent: OPNsense-dyndns\nAccept-Encoding: gzip, deflate\nAccept: */*\nConnection: keep-alive\nContent-Length: 0\n" + basic + "\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "OPNsense, custom PUT",
			request: "PUT /nic/update?hostname=a.example.com&myip=192.0.2.1 HTTP/1.1\nHost: ddns.example.com\nUser-Agent: OPNsense-dyndns\nAccept-Encoding: gzip, deflate\nAccept: */*\nConnection: keep-alive\nContent-Length: 0\n" + basic + "\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "pfSense, custom",
			request: "GET /nic/update?hostname=a.example.com&myip=192.0.2.1 HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: phpDynDNS/0.7\nAccept: */*\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "pfSense, DynDNS",
			request: "GET /nic/update?system=dyndns&hostname=a.example.com&myip=192.0.2.1&wildcard=ON&mx=&backmx=NO HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: phpDynDNS/0.7\nAccept: */*\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "OpenWrt ddns-scripts with wget, user:pass@",
			request: "GET /nic/update?hostname=a.example.com&myip=192.0.2.1 HTTP/1.1\nHost: ddns.example.com\nUser-Agent: Wget/1.24.5\nAccept: */*\nAccept-Encoding: identity\n" + basic + "\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "OpenWrt ddns-scripts with uclient-fetch, in the query",
			request: "GET /v3/update?hostname=a.example.com&myip=2001:db8::1&username=home&password=secret HTTP/1.1\nHost: ddns.example.com\nUser-Agent: uclient-fetch\nConnection: close\n\n",
			login:   "query home secret",
			want:    "a: AAAA 2001:db8::1 [2001:db8::1]",
		},
		{
			client:  "FRITZ!Box, all it knows",
			request: "GET /nic/update?hostname=box.example.com,nas.example.com&ipaddr=192.0.2.1&ip6addr=2001:db8:0:1:a96:d7ff:fe12:3456&ip6lanprefix=2001:db8:0:2::/64&dualstack=1 HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: Fritz!Box DDNS/1.0.1\n\n",
			login:   "header home secret",
			want:    "box: A 192.0.2.1 AAAA 2001:db8:0:1:a96:d7ff:fe12:3456 [192.0.2.1,2001:db8:0:1:a96:d7ff:fe12:3456]; nas: A 192.0.2.1 AAAA 2001:db8:0:2::1234 [192.0.2.1,2001:db8:0:2::1234]",
		},
		{
			client:  "FRITZ!Box without IPv6",
			request: "GET /nic/update?hostname=box.example.com,nas.example.com&ipaddr=192.0.2.1&ip6addr=&ip6lanprefix=&dualstack=0 HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: Fritz!Box DDNS/1.0.1\n\n",
			login:   "header home secret",
			want:    "box: A 192.0.2.1 AAAA none [192.0.2.1]; nas: A 192.0.2.1 AAAA none [192.0.2.1]",
		},
		{
			client:  "FRITZ!Box, a list with an empty item",
			request: "GET /nic/update?hostname=box.example.com&myip=192.0.2.1, HTTP/1.1\nHost: ddns.example.com\n" + basic + "User-Agent: Fritz!Box DDNS/1.0.1\n\n",
			login:   "header home secret",
			want:    "400 dnserr",
		},
		{
			client:  "FRITZ!Box, in the query with nothing escaped",
			request: "GET /?user=home&pass=50%-off!*&domain=box.example.com&ipaddr=192.0.2.1 HTTP/1.1\nHost: ddns.example.com\nUser-Agent: Fritz!Box DDNS/1.0.1\n\n",
			login:   "query home 50%-off!*",
			want:    "box: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "Speedport",
			request: "GET /nic/update?hostname=a.example.com&myip=2001:db8::1,192.0.2.1 HTTP/1.0\nHost: ddns.example.com\n" + basic + "\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 AAAA 2001:db8::1 [2001:db8::1,192.0.2.1]",
		},
		{
			client:  "Synology DSM, customized provider",
			request: "GET /nic/update?hostname=a.example.com&myip=192.0.2.1&username=home&password=s%26cret HTTP/1.1\nHost: ddns.example.com\nUser-Agent: DSM\nAccept: */*\n\n",
			login:   "query home s&cret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "MikroTik, /tool fetch",
			request: "GET /nic/update?hostname=a.example.com&myip=192.0.2.1 HTTP/1.1\nConnection: close\nHost: ddns.example.com\nUser-Agent: Mikrotik/6.x Fetch\n" + basic + "\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
		{
			client:  "EasyDNS clients",
			request: "GET /dyn/generic.php?hostname=YES&host_id=a.example.com&myip=192.0.2.1&wildcard=OFF HTTP/1.0\nHost: ddns.example.com\n" + basic + "User-Agent: client\n\n",
			login:   "header home secret",
			want:    "a: A 192.0.2.1 [192.0.2.1]",
		},
	} {
		t.Run(tc.client, func(t *testing.T) {
			read := func() *http.Request {
				head, body, _ := strings.Cut(tc.request, "\n\n")
				raw := strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
				r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			if got := login(t, read()); got != tc.login {
				t.Errorf("logs in by %s, want %s", got, tc.login)
			}
			if got := outcome(t, read(), testRules(t), netip.MustParseAddr(client)); got != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

// login shows the credentials of a request.
func login(t *testing.T, r *http.Request) string {
	var found []string
	if user, password, ok := r.BasicAuth(); ok {
		found = append(found, "header "+user+" "+password)
	}
	params, err := Read(r)
	if err != nil {
		t.Fatal(err)
	}
	if user, password, ok := params.Credentials(); ok {
		found = append(found, "query "+user+" "+password)
	}
	if found == nil {
		return "none"
	}
	return strings.Join(found, ", ")
}
