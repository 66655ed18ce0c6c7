#!/bin/bash
# Compares this name server with BIND and Knot, all with the same zone, on the
# same cores, in turns. It prints for each the answers per second, as a ratio to
# BIND too, the latency below which 99 % of the answers come at half of BIND's
# load, and the memory. Needs bind9, knot and dnsperf.
#
#	CADDY=/path/to/caddy nameserver/bench/compare.sh [records] [seconds] [rounds]
set -euo pipefail
records=${1:-100000}
seconds=${2:-10}
rounds=${3:-3}
caddy=${CADDY:?set CADDY to a Caddy binary that has the nameserver app}
PATH=$PATH:/usr/sbin
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }

mkdir -p "$dir/storage/nameserver" "$dir/knot"
zone="$dir/storage/nameserver/example.test.zone"
{
	echo '@ 300 IN SOA ns1.example.test. hostmaster.example.test. 1 3600 600 1209600 60'
	echo '@ 300 IN NS ns1.example.test.'
	echo 'ns1 300 IN A 127.0.0.1'
	awk -v n="$records" 'BEGIN { for (i = 0; i < n; i++) printf "host%d 300 IN A 10.%d.%d.%d\n", i, i/65536, (i/256)%256, i%256 }'
} >"$zone"
cp "$zone" "$dir/zone"
awk -v n="$records" 'BEGIN { srand(1); for (i = 0; i < 100000; i++) {
	printf "%s%d.example.test A\n", rand() < 0.8 ? "host" : "none", int(rand()*n) } }' >"$dir/queries"

declare -A at pid
at[BIND]=$(port)
cat >"$dir/named.conf" <<CONF
options { directory "$dir"; pid-file none; session-keyfile "$dir/session.key"; listen-on port ${at[BIND]} { 127.0.0.1; };
	listen-on-v6 { none; }; recursion no; dnssec-validation no; notify no; minimal-responses yes; };
controls { };
zone "example.test" { type primary; file "$dir/zone"; };
CONF
named -f -c "$dir/named.conf" &
pid[BIND]=$!

at[Knot]=$(port)
cat >"$dir/knot.conf" <<CONF
server:
    rundir: "$dir/knot"
    listen: 127.0.0.1@${at[Knot]}
database:
    storage: "$dir/knot"
zone:
  - domain: example.test
    file: "$dir/zone"
CONF
knotd -c "$dir/knot.conf" >"$dir/knot.log" 2>&1 &
pid[Knot]=$!

at[Caddy]=$(port)
cat >"$dir/Caddyfile" <<CONF
{
	admin off
	persist_config off
	storage file_system $dir/storage
	nameserver 127.0.0.1:${at[Caddy]} {
		zone example.test {
			ns ns1 127.0.0.1
		}
	}
}
CONF
"$caddy" run --config "$dir/Caddyfile" 2>"$dir/caddy.log" &
pid[Caddy]=$!
pids=("${pid[@]}")
sleep 4

declare -A sum
for ((round = 1; round <= rounds; round++)); do
	for server in BIND Caddy Knot; do
		rate=$(dnsperf -s 127.0.0.1 -p "${at[$server]}" -d "$dir/queries" -l "$seconds" -c 4 -T 1 -q 100 | awk '/Queries per second/ { print int($4) }')
		echo "round $round: $server $rate answers/s"
		sum[$server]=$((${sum[$server]:-0} + rate))
	done
done
half=$((sum[BIND] / rounds / 2))
for server in BIND Caddy Knot; do
	p99=$(dnsperf -v -s 127.0.0.1 -p "${at[$server]}" -d "$dir/queries" -l "$seconds" -c 4 -T 1 -Q "$half" -q 100 |
		awk '/^> / { print $NF * 1e6 }' | sort -n | awk '{ v[NR] = $1 } END { print int(v[int(NR * 0.99)]) }')
	memory=$(awk '/VmRSS/ { print int($2 / 1024) }' "/proc/${pid[$server]}/status")
	echo "$server: $((sum[$server] / rounds)) answers/s, $(awk -v a="${sum[$server]}" -v b="${sum[BIND]}" 'BEGIN { printf "%.2f", a / b }') of BIND," \
		"p99 $p99 µs at $half/s, $memory MiB"
done
