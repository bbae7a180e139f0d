# shellcheck shell=bash
# What every job does first; the scripts of this folder source it. Not to be run by itself.
#
# Reads site.env, makes the programs of .venv known, and gives the scripts:
#
#   run_stage COMMAND...      a data stage: threads, memory and scratch of this job, its status
#   run_task  COMMAND...      the same, as one task of an array where this is one
#   on_nodes OPTION... -- COMMAND...   a command by srun, in the site's container if it has one
#
# FORGE_NUM_TASKS and FORGE_TASK_OFFSET say which part of how many this task is. Without them an
# array is taken as a whole: `sbatch --array=0-63 slurm/ingest.sbatch ...`. One task of it again:
# `FORGE_NUM_TASKS=64 sbatch --array=5 slurm/ingest.sbatch ...`.

die() {
  echo "slurm: $*" >&2
  exit 1
}

FORGE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || die "cannot tell where the repository is"
export FORGE_ROOT
site=${FORGE_SITE:-$FORGE_ROOT/slurm/site.env}
if [ -f "$site" ]; then
  set -a # what it sets, programs see too
  # shellcheck disable=SC1090 # the site's own file
  . "$site"
  set +a
fi

# Of the login node, or of a job that submitted this one; the nodes may have no such directory.
[ -d "${TMPDIR:-/tmp}" ] || unset TMPDIR
unset HEPHAESTUS_FORGE_SCRATCH

# What sbatch was told to pass on would be told to srun again, which then starts without a PATH.
unset SLURM_EXPORT_ENV
# srun does not take this over from the job by itself, from Slurm 22.05 on.
[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

if [ -n "${FORGE_MODULES:-}" ]; then
  set +u # the sites' own code is not written for it
  # shellcheck disable=SC1091 # defines `module` where the login shell has not passed it on
  command -v module >/dev/null || . /etc/profile
  for module in $FORGE_MODULES; do
    module load "$module" || die "expected module $module (FORGE_MODULES), it does not load"
  done
  set -u
fi
venv=${FORGE_VENV-$FORGE_ROOT/.venv}
[ -z "$venv" ] || export PATH="$venv/bin:$PATH"

attempt=$((${SLURM_RESTART_COUNT:-0} + 1))
job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
job=${job:-${SLURM_JOB_ID:-none}}

note() { # a line of the log, with when and which attempt
  echo "[$(date -u +%Y-%m-%dT%H:%M:%SZ)] ${FORGE_NAME:-${SLURM_JOB_NAME:-job}}: $*" >&2
}

srun_container=() # options of srun for the site's container
container=()      # the command that runs another one in it
enter_container() { # DIRECTORY...: sets them, with these directories in it as they are outside
  local mounts=$FORGE_ROOT:$FORGE_ROOT directory
  for directory in "$PWD" "$@"; do
    [ "$directory" = "$FORGE_ROOT" ] || mounts+=,$directory:$directory
  done
  mounts+=${FORGE_CONTAINER_MOUNTS:+,$FORGE_CONTAINER_MOUNTS}
  case ${FORGE_CONTAINER:-none} in
    none) return ;;
    apptainer | pyxis) ;;
    *) die "FORGE_CONTAINER: expected none, apptainer or pyxis, got $FORGE_CONTAINER" ;;
  esac
  [ -n "${FORGE_CONTAINER_IMAGE:-}" ] || die "expected FORGE_CONTAINER_IMAGE with FORGE_CONTAINER, found none"
  if [ "$FORGE_CONTAINER" = apptainer ]; then
    container=(apptainer exec --nv --bind "$mounts" --pwd "$PWD" "$FORGE_CONTAINER_IMAGE")
  else # these options are srun's, and only where pyxis is installed
    srun_container=("--container-image=$FORGE_CONTAINER_IMAGE" "--container-workdir=$PWD"
      "--container-mounts=$mounts")
  fi
}
enter_container

in_container() { # COMMAND...: here, or in the container
  if ((${#srun_container[@]})); then
    srun --ntasks=1 --nodes=1 --overlap "${srun_container[@]}" "$@"
  else
    "${container[@]}" "$@"
  fi
}

on_nodes() { # OPTION... -- COMMAND...: by srun with its options, each process in the container
  local options=()
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift
  srun "${srun_container[@]}" "${options[@]}" "${container[@]}" "$@"
}

has() { # OPTION WORD...: whether the option is among the words
  local option=$1 word
  shift
  for word in "$@"; do
    case $word in "$option" | "$option"=*) return 0 ;; esac
  done
  return 1
}

memory_mib() { # what a stage may take of the job's memory; nothing where Slurm does not say
  local granted=${SLURM_MEM_PER_NODE:-}
  if [ -z "$granted" ] && [ -n "${SLURM_MEM_PER_CPU:-}" ]; then
    granted=$((SLURM_MEM_PER_CPU * ${SLURM_CPUS_PER_TASK:-1}))
  fi
  [ "${granted:-0}" -gt 0 ] || return 0 # --mem=0: all of the node
  # A stage stays 100 MiB above what it is given at most, Python and its libraries take as much.
  # Below 2 GiB the longest record that is read would depend on the size of the job.
  local left=$((granted * 9 / 10 - 200))
  echo $((left < 2048 ? 2048 : left))
}

# Spools of the sorts and of the shards being written go to the node's own disk, where there is one.
# Outputs are written beside their final name, on its file system, and renamed when they are whole:
# a rename is only whole within a file system.
make_scratch() {
  local place=${SLURM_TMPDIR:-${FORGE_LOCAL_SCRATCH:-}}
  [ -n "$place" ] && [ -d "$place" ] && [ -w "$place" ] || return 0
  scratch=$(mktemp -d "$place/hephaestus-forge-$job.XXXXXX") || return 0
  trap 'rm -rf "$scratch"' EXIT
  export HEPHAESTUS_FORGE_SCRATCH=$scratch TMPDIR=$scratch
  enter_container "$scratch"
}

run_stage() {
  local added=() memory
  case $2 in
    ingest | dedup | tokenize | filter | retrieve | decontaminate)
      memory=$(memory_mib)
      [ -z "$memory" ] || has --memory "$@" || added+=(--memory "${memory}MiB")
      ;;
  esac
  case $2 in
    ingest | dedup | train-tokenizer | tokenize | filter | retrieve | decontaminate)
      [ -z "${SLURM_CPUS_PER_TASK:-}" ] || has --workers "$@" || added+=(--workers "$SLURM_CPUS_PER_TASK")
      ;;
  esac
  local scratch=
  make_scratch
  note "job $job, attempt $attempt, on ${SLURMD_NODENAME:-$(hostname)}: $*"
  in_container "$@" "${added[@]}"
  local status=$?
  note "ended with status $status"
  exit "$status"
}

run_task() {
  if [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then
    run_stage "$@"
  fi
  local count=${FORGE_NUM_TASKS:-$((SLURM_ARRAY_TASK_MAX + 1))}
  if [ -z "${FORGE_NUM_TASKS:-}" ] && [ "${SLURM_ARRAY_TASK_COUNT:-$count}" != "$count" ]; then
    die "this array is a part of one: export FORGE_NUM_TASKS, the number of all its tasks, then submit it again"
  fi
  run_stage "$@" --task "$((SLURM_ARRAY_TASK_ID + ${FORGE_TASK_OFFSET:-0}))" --num-tasks "$count"
}
