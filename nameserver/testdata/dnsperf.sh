#!/bin/sh
# Compares the answers per second and the memory of this name server and of
# BIND, both with the same zone, on the same machine. Needs bind9 and dnsperf.
#
#	CADDY=/path/to/caddy nameserver/testdata/dnsperf.sh [records] [seconds]
set -eu
records=${1:-100000}
seconds=${2:-10}
caddy=${CADDY:?set CADDY to a Caddy binary that has the nameserver app}
dir=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

mkdir -p "$dir/storage/nameserver"
zone="$dir/storage/nameserver/example.test.zone"
{
	echo '@ 300 IN SOA ns1.example.test. hostmaster.example.test. 1 3600 600 1209600 60'
	echo '@ 300 IN NS ns1.example.test. ; config'
	echo 'ns1 300 IN A 127.0.0.1 ; config'
	awk -v n="$records" 'BEGIN { for (i = 0; i < n; i++) printf "host%d 300 IN A 10.%d.%d.%d\n", i, i/65536, (i/256)%256, i%256 }'
} >"$zone"
awk -v n="$records" 'BEGIN { srand(1); for (i = 0; i < 100000; i++) {
	printf "%s%d.example.test A\n", rand() < 0.8 ? "host" : "none", int(rand()*n) } }' >"$dir/queries"

run() { # name, pid, port
	sleep 3
	before=$(awk '/VmRSS/ { print int($2/1024) }' "/proc/$2/status")
	rate=$(dnsperf -s 127.0.0.1 -p "$3" -d "$dir/queries" -l "$seconds" -c 4 -T 1 -q 100 | awk '
		/Queries per second/ { rate = int($4) } /Queries lost/ { lost = $3 } END { print rate, lost }')
	after=$(awk '/VmRSS/ { print int($2/1024) }' "/proc/$2/status")
	echo "$1: ${rate% *} answers/s, ${rate#* } lost, RSS $before MiB idle, $after MiB after"
	kill "$2"
	wait "$2" 2>/dev/null || true
}

p=$(port)
cat >"$dir/named.conf" <<EOF
options { directory "$dir"; pid-file none; session-keyfile "$dir/session.key"; listen-on port $p { 127.0.0.1; };
	listen-on-v6 { none; }; recursion no; dnssec-validation no; notify no; minimal-responses yes; };
controls { };
zone "example.test" { type primary; file "$zone"; };
EOF
named -f -n 2 -c "$dir/named.conf" &
pids="$pids $!"
run BIND $! "$p"

p=$(port)
cat >"$dir/Caddyfile" <<EOF
{
	admin off
	persist_config off
	storage file_system $dir/storage
	nameserver 127.0.0.1:$p {
		zone example.test {
			ns ns1 127.0.0.1
		}
	}
}
EOF
"$caddy" run --config "$dir/Caddyfile" 2>"$dir/caddy.log" &
pids="$pids $!"
run Caddy $! "$p"

cat >"$dir/plain" <<EOF
{
	admin off
	persist_config off
}
EOF
"$caddy" run --config "$dir/plain" --adapter caddyfile 2>/dev/null &
pids="$pids $!"
sleep 3
echo "Caddy without it: RSS $(awk '/VmRSS/ { print int($2/1024) }' "/proc/$!/status") MiB"
