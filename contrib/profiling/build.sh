#!/bin/sh
# The image of docker-compose.yml: build.sh [OPTION OF DOCKER BUILD...]. It is built with the package index that pip is
# set to here, and with the certificates that were added to this machine's own. An index address with a password in it
# would stay in the image's history: use one without.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if [ -d /usr/local/share/ca-certificates ]; then
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$here/certificates/" \;
fi
if [ -z "${PIP_INDEX_URL:-}" ]; then
  PIP_INDEX_URL=$(python3 -m pip config get global.index-url 2>/dev/null || true)
fi
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST; do
  eval "value=\${$name:-}"
  # shellcheck disable=SC2154  # set by the line above
  [ -z "$value" ] || set -- "$@" --build-arg "$name=$value"
done
# the host's network: names are found and packages reached as they are here
exec docker build --network host "$@" -t indexer-workbench-profiling:latest -f "$here/Dockerfile" "$here/../.."
