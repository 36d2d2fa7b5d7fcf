#!/usr/bin/env bash
# Compares one node of Talus with redis-server on this machine: interleaved rounds of
# redis-benchmark, 128-byte values, 1 M random keys; prints the median of each and their ratio.
#   benches/compare.sh TALUS_BINARY [ROUNDS]
set -euo pipefail
talus=${1:?path of the talus binary}
rounds=${2:-5}
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT

"$talus" serve --port 7501 --data-dir "$dir/talus" >"$dir/talus.log" 2>&1 &
mkdir "$dir/always" "$dir/memory"
redis-server --port 7511 --dir "$dir/always" --save '' --appendonly yes --appendfsync always \
  --daemonize no >/dev/null &
redis-server --port 7521 --dir "$dir/memory" --save '' --appendonly no --daemonize no >/dev/null &
for port in 7501 7511 7521; do
  for _ in $(seq 100); do redis-cli -p $port ping >/dev/null 2>&1 && break; sleep 0.1; done
done

# requests/s of one run: PORT COMMAND CLIENTS PIPELINE REQUESTS
run() {
  timeout 120 redis-benchmark -p "$1" -t "$2" -c "$3" -P "$4" -n "$5" -d 128 -r 1000000 --csv |
    tail -n 1 | cut -d'"' -f4
}
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# TITLE PEER_PORT COMMAND CLIENTS PIPELINE REQUESTS
compare() {
  local ours="$dir/ours" theirs="$dir/theirs" a b
  : >"$ours"; : >"$theirs"
  for _ in $(seq "$rounds"); do
    run 7501 "$3" "$4" "$5" "$6" >>"$ours"
    run "$2" "$3" "$4" "$5" "$6" >>"$theirs"
  done
  a=$(median <"$ours"); b=$(median <"$theirs")
  printf '| %s | %.0f | %.0f | %.2f |\n' "$1" "$a" "$b" "$(awk "BEGIN { print $a / $b }")"
}

echo '| what | talus/s | peer/s | ratio |'
echo '|---|---|---|---|'
compare 'SET 50 clients, redis appendfsync always' 7511 set 50 1 50000
compare 'SET 1 client, redis appendfsync always' 7511 set 1 1 5000
compare 'SET 50 x pipeline 16, redis appendfsync always' 7511 set 50 16 300000
compare 'SET 50 x pipeline 16, redis without persistence' 7521 set 50 16 300000
compare 'GET 50 clients, redis in memory' 7521 get 50 1 100000
compare 'GET 50 x pipeline 16, redis in memory' 7521 get 50 16 500000
