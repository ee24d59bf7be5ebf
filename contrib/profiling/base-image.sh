#!/bin/sh
# The base image debian:bookworm-slim from Debian's packages, for a machine that cannot pull it. Needs root and
# debootstrap. DEBIAN_MIRROR names another mirror than debootstrap's own.
set -eu

image=debian:bookworm-slim
if docker image inspect "$image" >/dev/null 2>&1; then
  echo "base-image.sh: $image is there already"
  exit 0
fi
command -v debootstrap >/dev/null || {
  echo "base-image.sh: debootstrap is not installed: apt-get install debootstrap" >&2
  exit 1
}
folder=$(mktemp -d)
trap 'rm -rf --one-file-system "$folder"' EXIT
debootstrap --variant=minbase bookworm "$folder/root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$folder/log" 2>&1 || {
  tail -n 20 "$folder/log" >&2
  exit 1
}
# what the slim image leaves out, too
for path in var/cache/apt var/lib/apt/lists usr/share/doc usr/share/man usr/share/locale; do
  find "$folder/root/$path" -type f ! -name copyright -delete
done
tar -C "$folder/root" --one-file-system -c . | docker import --change 'CMD ["bash"]' - "$image" >/dev/null
echo "base-image.sh: made $image of Debian's packages"
