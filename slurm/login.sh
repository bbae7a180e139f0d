# shellcheck shell=bash
# What commands on a login node share; pipeline.sh and status.sh source it.

usage() { # the head of the script that was called
  awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0" >&2
  exit 2
}

FORGE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export FORGE_ROOT
site=${FORGE_SITE:-$FORGE_ROOT/slurm/site.env}
if [ -f "$site" ]; then
  set -a
  # shellcheck disable=SC1090 # the site's own file
  . "$site"
  set +a
fi
venv=${FORGE_VENV-$FORGE_ROOT/.venv}
[ -z "$venv" ] || export PATH="$venv/bin:$PATH"
command -v preprocess >/dev/null 2>&1 || {
  echo "slurm: expected preprocess on the PATH, found none; run make setup in $FORGE_ROOT" >&2
  exit 1
}
