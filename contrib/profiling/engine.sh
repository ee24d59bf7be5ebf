#!/bin/sh
# A docker engine where none answers: engine.sh start | stop | log. For CI and for machines without an init system;
# elsewhere `systemctl start docker` does it. stop ends only the engine that start has started.
set -eu

state=/run/indexer-workbench
answers() {
  docker version >/dev/null 2>&1
}

ours() {
  pid=$(cat "$state/dockerd.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]
}

end() {
  kill "$pid" 2>/dev/null || true
  left=30
  while [ -d "/proc/$pid" ] && [ "$left" -gt 0 ]; do
    sleep 1
    left=$((left - 1))
  done
  rm -f "$state/dockerd.pid"
}

start() {
  if answers; then
    echo "engine.sh: a docker engine answers already"
    return
  fi
  command -v dockerd >/dev/null || { echo "engine.sh: dockerd is not installed: apt-get install docker.io" >&2; exit 1; }
  [ "$(id -u)" = 0 ] || { echo "engine.sh: root is needed to start dockerd: sudo $0 start" >&2; exit 1; }
  if [ -d /run/systemd/system ]; then
    exec systemctl start docker
  fi
  mkdir -p "$state"
  # without packet filter rules where the kernel has none: ports are published by docker's own proxy all the same
  for options in --iptables=true --iptables=false; do
    setsid dockerd "$options" >"$state/dockerd.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$state/dockerd.pid"
    left=120
    while [ -d "/proc/$pid" ] && [ "$left" -gt 0 ]; do
      if answers; then
        echo "engine.sh: started dockerd $options"
        return
      fi
      sleep 0.5
      left=$((left - 1))
    done
    end
  done
  echo "engine.sh: dockerd does not start: $(tail -n 1 "$state/dockerd.log")" >&2
  exit 1
}

case ${1:-} in
  start) start ;;
  stop) if ours; then end; fi ;;
  log) cat "$state/dockerd.log" ;;
  *)
    echo "usage: $0 start | stop | log" >&2
    exit 2
    ;;
esac
