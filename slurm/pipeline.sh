#!/usr/bin/env bash
# Submit all of a plan, stages and trainings, each job behind what it needs; prints them as a tree.
#
#   slurm/pipeline.sh PLAN.toml                  submit what is neither done nor in the queue
#   slurm/pipeline.sh PLAN.toml --dry-run        only print the commands
#   slurm/pipeline.sh PLAN.toml --retry-failed   failed tasks again, while others still run
#
# The same as `preprocess run PLAN.toml --slurm`. The site's account, partitions and limits come from
# slurm/site.env (copy slurm/site.env.example); slurm/status.sh PLAN.toml shows how far it is.
set -euo pipefail
# shellcheck source=login.sh
. "$(dirname "${BASH_SOURCE[0]}")/login.sh"

[ $# -ge 1 ] || usage
exec preprocess run "$@" --slurm
