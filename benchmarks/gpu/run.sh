#!/usr/bin/env bash
# Check kernels, losses, throughput, checkpoints and memory on a bare machine with one H100 or H200.
#
#   benchmarks/gpu/run.sh WHEELS_DIR|none [PART...] [--device cpu] [--tiny] [--blend FILE] [--text DIR]
#
# README.md beside this says what it does, what it reads from the environment, what a failure means.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore
# The interpreter takes this process's place: what is sent to one is sent to the other.
exec "${PYTHON:-python3}" -P -m benchmarks.gpu "$@"
