#!/usr/bin/env bash
# Show how far a submitted plan is, on one screen.
#
#   slurm/status.sh PLAN.toml
#
# From manifests, the marks of tasks, the queue, and accounting where there is some.
set -euo pipefail
# shellcheck source=login.sh
. "$(dirname "${BASH_SOURCE[0]}")/login.sh"

[ $# -ge 1 ] || usage
exec preprocess run "$@" --slurm --status
