# Servers on this machine, for compare.sh: number N of a kind listens on the kind's first port
# + 10 N and keeps its files in $dir, until the row that started it calls clean_up.
#
# shellcheck shell=bash disable=SC2154 # bin, dir, port and peer_port are compare.sh's
# shellcheck disable=SC2034,SC2119,SC2120,SC2317 # functions and arguments are used there

declare -A pids=()

# NAME PORT COMMAND...
start() {
  local name=$1 at=$2
  shift 2
  if (: <"/dev/tcp/127.0.0.1/$at") 2>/dev/null; then
    echo "$name: somebody else listens on $at" >&2
    return 1
  fi
  "$@" >>"$dir/$name.log" 2>&1 &
  pids[$name]=$!
}

# NAME COMMAND...: until the command succeeds
await() {
  local name=$1 _
  shift
  for _ in $(seq 600); do
    kill -0 "${pids[$name]}" || return
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "$name: no success within a minute: $*" >&2
  return 1
}

clean_up() {
  local status=$?
  [ "$status" = 0 ] || tail -n 5 "$dir"/*.log >&2 || true
  kill -9 "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$dir"
}

# FIRST_PORT: addresses of three servers
three() { echo "127.0.0.1:$1,127.0.0.1:$(($1 + 10)),127.0.0.1:$(($1 + 20))"; }

# N OPTION...
talus_node() {
  local name=talus$1 at=$((port + 10 * $1))
  local command=("$bin/talus" serve --port "$at" --raft-port $((at + 2)) --data-dir "$dir/$name")
  start "$name" "$at" "${command[@]}" "${@:2}"
}

cluster() { "$bin/talus" cluster "$1" --url "http://127.0.0.1:$((port + 1))"; }
three_voters() { cluster status | grep -q 'of 3 voters, 3 there'; }
leader() { cluster status | grep ' leader ' | grep -o '127[0-9.:]*'; }

# OPTION...
one_talus() {
  talus_node 0 "$@"
  await talus0 cluster health
}

three_talus() {
  one_talus
  talus_node 1 --join "127.0.0.1:$port"
  talus_node 2 --join "127.0.0.1:$port"
  await talus0 three_voters
}

in_memory=(--appendonly no)
always=(--appendonly yes --appendfsync always)

# N OPTION...
redis_node() {
  local name=redis$1 at=$((peer_port + 10 * $1))
  mkdir "$dir/$name"
  start "$name" "$at" redis-server --port "$at" --dir "$dir/$name" --save '' "${@:2}"
  await "$name" redis-cli -p "$at" ping
}

two_replicas() { [ "$(redis-cli -p "$peer_port" info replication | grep -c state=online)" = 2 ]; }

redis_with_replicas() {
  redis_node 0 "${always[@]}"
  redis_node 1 "${always[@]}" --replicaof 127.0.0.1 "$peer_port"
  redis_node 2 "${always[@]}" --replicaof 127.0.0.1 "$peer_port"
  await redis0 two_replicas
}

# N ALL_PEERS
etcd_node() {
  local name=etcd$1 at=$((peer_port + 10 * $1))
  local client=http://127.0.0.1:$at peer=http://127.0.0.1:$((at + 1))
  start "$name" "$at" etcd --name "$name" --data-dir "$dir/$name" --initial-cluster "$2" \
    --listen-client-urls "$client" --advertise-client-urls "$client" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer"
}

etcd_healthy() { ETCDCTL_API=3 etcdctl --endpoints "$(three "$peer_port")" endpoint health; }

three_etcd() {
  local n peers=''
  for n in 0 1 2; do peers+=,etcd$n=http://127.0.0.1:$((peer_port + 10 * n + 1)); done
  for n in 0 1 2; do etcd_node "$n" "${peers#,}"; done
  await etcd0 etcd_healthy
}
