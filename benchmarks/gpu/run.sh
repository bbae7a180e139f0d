#!/usr/bin/env bash
# Check kernels, losses, throughput, checkpoints and memory on a bare machine with one H100 or H200.
#
#   benchmarks/gpu/run.sh WHEELS_DIR [PART...] [--device cpu] [--tiny] [--blend FILE] [--text DIR]
#
# WHEELS_DIR holds the wheels that the machine's Python lacks, and libcublaslt_shim.so; "none" where
# nothing is to be installed. Parts: kernels twin throughput curves checkpoints memory; without any,
# all in this order. Nothing is fetched. Results are JSON files in $OUT, else in
# benchmarks/gpu/results/DATE-COMMIT; what is done there already is not repeated. $RESUME: a directory
# of earlier results to go on from. $PYTHON: the interpreter. $COMMIT: the commit's name, where git is
# not. $SECONDS_IN_ALL: when to stop, 1,780 after the start unless it says otherwise.
set -euo pipefail
started=$(date +%s)
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
work=${WORK:-${TMPDIR:-/tmp}/hephaestus-gpu}
limit=${SECONDS_IN_ALL:-1780}

[ $# -ge 1 ] || { echo "usage: $0 WHEELS_DIR|none [PART...] [OPTION...]" >&2; exit 2; }
wheels=$1
shift
parts=() options=()
while [ $# -gt 0 ]; do
  case $1 in
    --blend | --text | --device) options+=("$1" "${2:?$1 wants a value}"); shift 2 ;;
    --*) options+=("$1"); shift ;;
    *) parts+=("$1"); shift ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(kernels twin throughput curves checkpoints memory)

path=$root
if [ "$wheels" != none ]; then
  wheels=$(cd "$wheels" && pwd)
  site=$work/site
  # One list of wheels, one installation: a run that was ended inside it begins it anew.
  list=$(cd "$wheels" && cksum ./*.whl)
  if [ "$(cat "$site.done" 2>/dev/null)" != "$list" ]; then
    rm -rf "$site" "$site.done"
    mkdir -p "$site"
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
      --target "$site" "$wheels"/*.whl
    printf '%s\n' "$list" >"$site.done"
  fi
  path=$path:$site
  # A symbol that the cuBLASLt of torch 2.11 lacks; dense models never call it.
  [ ! -e "$wheels/libcublaslt_shim.so" ] || export LD_PRELOAD=$wheels/libcublaslt_shim.so
fi
export PYTHONPATH=$path${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore
export CUDA_HOME=${CUDA_HOME:-/usr/local/cuda}
export NVTE_CUDA_INCLUDE_DIR=$CUDA_HOME/include NVTE_CUDA_INCLUDE_PATH=$CUDA_HOME/include
# A machine without a network has the loopback interface only.
export NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-lo} GLOO_SOCKET_IFNAME=${GLOO_SOCKET_IFNAME:-lo}

cd "$root"
"$python" -P -m benchmarks.gpu needs --work "$work" "${options[@]}" || exit 2
if [ -z "${OUT:-}" ]; then
  name=$(date -u +%F)-$("$python" -P -c 'from benchmarks.gpu.about import commit; print(commit())')
  OUT=$root/benchmarks/gpu/results/$name
fi
export OUT
mkdir -p "$OUT"
for file in ${RESUME:+"$RESUME"/*.json}; do
  [ ! -e "$file" ] || [ -e "$OUT/${file##*/}" ] || cp "$file" "$OUT/"
done

status=0
for part in "${parts[@]}"; do
  left=$((started + limit - $(date +%s)))
  [ "$left" -gt 30 ] || { echo "no time is left for $part: the same command goes on" >&2; exit 1; }
  [ "$left" -lt 580 ] || left=580
  # The part ends by itself; what hangs inside a kernel is ended.
  timeout --kill-after=10 "$((left + 10))" "$python" -P -m benchmarks.gpu "$part" \
    --work "$work" --seconds "$left" "${options[@]}" || status=1
done
exit $status
