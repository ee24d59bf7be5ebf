#!/bin/sh
# Entry of both containers: start.sh SERVICE PROGRAM [ARGUMENT...] runs PROGRAM under the tool that PROFILER names.
#
# Modes, flags and file names are those of contrib/start.sh of indexer-rs. The program, or the tool before it, replaces
# this shell, so that signals reach it. Variables:
#   PROFILER             none (also when unset), flamegraph, strace, valgrind or massif, callgrind, pprofile
#   PROFILER_FLAGS       more flags for the tool, after the guide's: --instr-atstart=no
#   PROFILER_BASE_FLAGS  flags in place of the guide's; set and empty means none
#   PROFILING_DIR        where SERVICE/ with the outputs is (/opt/profiling)
set -efu

if [ $# -lt 2 ]; then
  echo "start.sh: SERVICE and PROGRAM are wanted, found: $*" >&2
  exit 2
fi
service=$1
shift
mode=${PROFILER:-none}
more=${PROFILER_FLAGS:-}
folder=${PROFILING_DIR:-/opt/profiling}/$service

if [ "$mode" != none ]; then
  mkdir -p "$folder"
  if [ ! -w "$folder" ]; then
    echo "start.sh: $folder cannot be written by user $(id -u): give that user the folder mounted there" >&2
    exit 2
  fi
fi

# shellcheck disable=SC2086  # flags are split at spaces, on purpose
case $mode in
  none)
    exec "$@"
    ;;
  flamegraph)
    # the sampler is inside the service
    exec "$@" --profile-dir "$folder"
    ;;
  strace)
    flags=${PROFILER_BASE_FLAGS--f -tt -T -e trace=all -s 256}
    exec strace $flags $more -o "$folder/strace.log" "$@"
    ;;
  valgrind | massif)
    flags=${PROFILER_BASE_FLAGS---time-unit=B --detailed-freq=10 --max-snapshots=100 --threshold=0.5}
    # Python's own allocator takes whole arenas, in which massif sees no object
    export PYTHONMALLOC="${PYTHONMALLOC:-malloc}"
    exec valgrind --tool=massif --massif-out-file="$folder/massif.out" $flags $more "$@"
    ;;
  callgrind)
    flags=${PROFILER_BASE_FLAGS---cache-sim=yes --branch-sim=yes --collect-jumps=yes --collect-systime=yes \
      --collect-bus=yes --dump-instr=yes --dump-line=yes --compress-strings=no}
    exec valgrind --tool=callgrind --callgrind-out-file="$folder/callgrind.out" $flags $more "$@"
    ;;
  pprofile)
    flags=${PROFILER_BASE_FLAGS-}
    python=$1
    shift
    if [ "${1:-}" = -m ] && [ $# -gt 2 ]; then
      module=$2
      shift 2
      # an option of the module's must not be taken for one of pprofile's
      case $1 in
        -*) set -- -m "$module" -- "$@" ;;
        *) set -- -m "$module" "$@" ;;
      esac
    fi
    exec "$python" -m pprofile --format callgrind --out "$folder/pprofile.out" $flags $more "$@"
    ;;
  *)
    echo "start.sh: there is no PROFILER $mode; there are none, flamegraph, strace, valgrind, massif, callgrind and pprofile" >&2
    exit 2
    ;;
esac
