#!/usr/bin/env bash
# Records the profiles in this folder anew: receipt-demo under the service's own flags.
# Needs cargo (with access to a crates registry for the sampler), valgrind and strace. Usage: data/profiles/record.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# the same paths in the profiles on whichever machine they are recorded
export RUSTFLAGS="--remap-path-prefix=$here/demo=/receipt-demo --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$work/target}"

cargo build --quiet --release --manifest-path "$here/demo/Cargo.toml" --features sampling
cp "$CARGO_TARGET_DIR/release/receipt-demo" "$work/sampled"
cargo build --quiet --release --manifest-path "$here/demo/Cargo.toml"
# valgrind and strace write paths into their files: neutral ones
program=/opt/receipt-demo/receipt-demo
install -D "$CARGO_TARGET_DIR/release/receipt-demo" "$program"
cd "$work"
mkdir out

valgrind --tool=massif --massif-out-file=demo-massif.out \
  --time-unit=B --detailed-freq=10 --max-snapshots=100 --threshold=0.5 "$program" 600 out
valgrind --tool=callgrind --callgrind-out-file=demo-callgrind.out --cache-sim=yes --branch-sim=yes \
  --collect-jumps=yes --collect-systime=yes --collect-bus=yes --dump-instr=yes --dump-line=yes \
  --compress-strings=no "$program" 600 out
strace -f -tt -T -e trace=all -s 256 -o demo-strace.log "$program" 600 out
./sampled 150000 .
chmod 644 demo-*
mv demo-* "$here"
