#!/usr/bin/env bash
# Compares Talus with redis-server and etcd on this machine and prints a markdown table.
#
#   benches/compare.sh BINARY_DIR [ROUNDS] [ROW...]
#
# BINARY_DIR has `talus` and `examples/load`. A row starts servers of its own, fresh; what two of
# them do is measured in turns, ROUNDS times (5), and the medians are printed. Without ROW: all.
# Values have 128 bytes. SCALE makes a run shorter (SCALE=0.05), MINUTES is how long the row
# memory-writes writes, PORT the first of 130 ports to use.
#
# shellcheck disable=SC2317 # rows are called by name
set -euo pipefail

bin=${1:?directory of talus and examples/load}
rounds=${2:-5}
shift $(($# < 2 ? $# : 2))
minutes=${MINUTES:-10}
port=${PORT:-7500}
peer_port=$((port + 100))
talus=127.0.0.1:$port
peer=127.0.0.1:$peer_port

scaled() { awk -v n="$1" -v by="${SCALE:-1}" 'BEGIN { printf "%d", n * by < 1 ? 1 : n * by }'; }
seconds=$(scaled 10)
keys=$(scaled 1000000)
# etcd takes minutes for a million; both sides have as many.
etcd_keys=$(scaled 100000)
restart_keys=$(scaled 5000000)

# shellcheck source=benches/servers.sh
source "$(dirname "$0")/servers.sh"

# ---- load ----

# COLUMN OPTION...: one figure of the generator, which fails if a reply was an error
load() {
  "$bin/examples/load" --seconds "$seconds" --keys "$keys" "${@:2}" |
    awk -F, -v column="$1" '
      NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
      END { print $at }'
}

# MODE ADDRESSES: writes every key once
fill() { load ops --mode "$1" --addresses "$2" --fill --clients 8 --pipeline 64 >/dev/null; }

# PORT COMMAND CLIENTS PIPELINE REQUESTS: requests per second
benchmark() {
  redis-benchmark -p "$1" -t "$2" -c "$3" -P "$4" -n "$5" -d 128 -r "$keys" --csv |
    tail -n 1 | cut -d'"' -f4
}

# ---- figures ----

median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# WHAT TALUS PEER RATIO TARGET
print_row() { printf '| %s | %s | %s | %s | %s |\n' "$@"; }

# WHAT TARGET: medians of what the row's `ours` and `theirs` print, in turns
compare() {
  local a b _
  for _ in $(seq "$rounds"); do
    ours >>"$dir/ours"
    theirs >>"$dir/theirs"
  done
  a=$(median <"$dir/ours")
  b=$(median <"$dir/theirs")
  print_row "$1" "${a%.*}" "${b%.*}" "$(awk "BEGIN { printf \"%.2f\", $a / $b }")" "$2"
}

# WHAT TARGET COMMAND CLIENTS PIPELINE REQUESTS REDIS_OPTION...
one_node() {
  local requests args
  requests=$(scaled "$6")
  args=("$3" "$4" "$5" "$requests")
  one_talus
  redis_node 0 "${@:7}"
  if [ "$3" = get ]; then
    fill redis-set "$talus"
    fill redis-set "$peer"
  fi
  ours() { benchmark "$port" "${args[@]}"; }
  theirs() { benchmark "$peer_port" "${args[@]}"; }
  compare "$1" "$2"
}

# WHAT MODE
tail_latency() {
  local args=(--mode "$2" --clients 200)
  one_talus
  redis_node 0 "${always[@]}"
  fill redis-set "$talus"
  fill redis-set "$peer"
  ours() { load p999_us "${args[@]}" --addresses "$talus"; }
  theirs() { load p999_us "${args[@]}" --addresses "$peer"; }
  compare "$1" '<= 1'
}

# Seconds from the start of a node that was killed to its answer with a value.
restart() {
  local begin value=''
  kill -9 "${pids[talus0]}"
  wait "${pids[talus0]}" 2>/dev/null || true
  begin=$EPOCHREALTIME
  talus_node 0
  while [ ${#value} != 128 ]; do
    kill -0 "${pids[talus0]}"
    value=$(redis-cli -p "$port" get key:000000000042 2>/dev/null) || sleep 0.01
  done
  awk "BEGIN { printf \"%.2f\n\", $EPOCHREALTIME - $begin }"
}

# Resident memory of the one node, in MiB.
memory() { awk '/VmRSS/ { printf "%.1f\n", $2 / 1024 }' "/proc/${pids[talus0]}/status"; }

# ---- rows ----

all=(set-50 set-1 set-50x16 set-50x16-memory get-50 get-50x16 set-3 set-3x16 get-3
  tail-get tail-set restart memory-idle memory-writes)

row_set-50() {
  one_node 'SET 50 clients, redis appendfsync always' 1.0 set 50 1 100000 "${always[@]}"
}

row_set-1() {
  one_node 'SET 1 client, redis appendfsync always' 1.5 set 1 1 10000 "${always[@]}"
}

row_set-50x16() {
  one_node 'SET 50 x pipeline 16, redis appendfsync always' 1.0 set 50 16 1000000 "${always[@]}"
}

row_set-50x16-memory() {
  one_node 'SET 50 x pipeline 16, redis without persistence' 0.5 set 50 16 1000000 "${in_memory[@]}"
}

row_get-50() {
  one_node 'GET 50 clients, redis in memory' 0.9 get 50 1 200000 "${in_memory[@]}"
}

row_get-50x16() {
  one_node 'GET 50 x pipeline 16, redis in memory' 0.9 get 50 16 2000000 "${in_memory[@]}"
}

row_set-3() {
  three_talus
  three_etcd
  ours() { load ops --mode redis-set --addresses "$(three "$port")"; }
  theirs() { load ops --mode etcd-put --addresses "$(three "$peer_port")"; }
  compare 'SET 3 nodes, 50 clients over all, etcd' 4
}

row_set-3x16() {
  three_talus
  redis_with_replicas
  ours() { load ops --mode redis-set --pipeline 16 --addresses "$(leader)"; }
  theirs() { load ops --mode redis-set-wait --pipeline 16 --addresses "$peer"; }
  compare 'SET 3 nodes, 50 x pipeline 16 to the leader, redis always with 2 replicas, WAIT 1' 1.5
}

row_get-3() {
  keys=$etcd_keys
  three_talus
  three_etcd
  fill redis-set "$(three "$port")"
  fill etcd-put "$(three "$peer_port")"
  ours() { load ops --mode redis-get --addresses "$(three "$port")"; }
  theirs() { load ops --mode etcd-get --addresses "$(three "$peer_port")"; }
  compare 'GET linearizable 3 nodes, 50 clients over all, etcd' 5
}

row_tail-get() { tail_latency 'p99.9 of GET, 200 clients, µs, redis appendfsync always' redis-get; }
row_tail-set() { tail_latency 'p99.9 of SET, 200 clients, µs, redis appendfsync always' redis-set; }

row_restart() {
  local _
  keys=$restart_keys
  one_talus
  for _ in $(seq "$rounds"); do
    fill redis-set "$talus"
    restart >>"$dir/ours"
  done
  print_row "kill -9 to first read, $keys keys, s" "$(median <"$dir/ours")" – – '<= 3'
}

row_memory-idle() {
  one_talus
  sleep "$seconds"
  print_row 'memory of an idle, fresh node, MiB' "$(memory)" – – '<= 80'
}

row_memory-writes() {
  local writer what figures
  seconds=$(awk "BEGIN { print 60 * $minutes }")
  one_talus --set storage.memory_bytes=256mb
  load ops --mode redis-set --pipeline 16 --addresses "$talus" >"$dir/ops" &
  writer=$!
  while kill -0 "$writer" 2>/dev/null; do
    memory >>"$dir/memory"
    sleep 1
  done
  wait "$writer"
  what="memory over $minutes minutes of SET 50 x 16 ($(<"$dir/ops")/s), MiB: first, median, max"
  figures="$(head -n 1 "$dir/memory"), $(median <"$dir/memory"), $(sort -g "$dir/memory" | tail -n 1)"
  print_row "$what" "$figures" – – –
}

# ---- one row after the other, each in a process of its own, so that one may fail ----

# ROW
run() {
  dir=$(mktemp -d)
  trap clean_up EXIT
  "row_$1"
}

rows=("$@")
[ $# != 0 ] || rows=("${all[@]}")
for name in "${rows[@]}"; do
  declare -F "row_$name" >/dev/null || { echo "no row $name; rows: ${all[*]}" >&2 && exit 2; }
done

failed=0
running=''
trap '[ -z "$running" ] || { kill "$running" && wait "$running"; } 2>/dev/null || true' EXIT
print_row what talus peer ratio target
print_row --- --- --- --- ---
for name in "${rows[@]}"; do
  run "$name" &
  running=$!
  wait "$running" || { failed=1 && print_row "$name" failed – – –; }
  running=''
done
exit "$failed"
