#!/usr/bin/env bash
# From this machine's own Python installation to a corpus, a tokenizer and a trained model.
#
#   scripts/demo.sh [PLAN.toml]    default: plans/demo.toml
#
# `make demo` sets up and calls this. Killed or failed, it goes on where it was: what is done stays.
set -euo pipefail
given=${1:-} from=$PWD
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

plan=${given:-plans/demo.toml}
case $given in # a path is meant from where the caller stands
  "" | /*) ;;
  *) [ "$from" = "$PWD" ] || plan=$from/$given ;;
esac
# Not `read < <(...)`: a failure in there would not end the script with its own line.
settings=$(
  python - "$plan" <<'PYTHON'
import sys, tomllib
from pathlib import Path

from preprocess.cli import STAGES
from preprocess.errors import UserError
from preprocess.plan import read_plan

path = Path(sys.argv[1])
try:
    directory = read_plan(path, STAGES).directory
except UserError as error:
    sys.exit(f"demo: {error}")
training = next(iter(tomllib.loads(path.read_text()).get("training", [])), {})
steps = training.get("set", {}).get("num_steps")
if "name" not in training or not isinstance(steps, int):
    sys.exit(f"demo: {path}: expected a [[training]] with a name and num_steps in its set; add it")
print(directory, training["name"], steps // 2, sep="\n")
PYTHON
)
{ IFS= read -r run && IFS= read -r training && read -r half; } <<<"$settings"
metrics=$run/$training/metrics.jsonl

job=
end_job() { # the training behind us is a group of its own, which Ctrl-C does not reach
  [ -z "$job" ] || kill -KILL -- "-$job" 2>/dev/null || true
}
trap end_job EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
  printf '\n== %s\n' "$*" >&2
}

steps_done() { # the training's last step, 0 without one
  [ -f "$metrics" ] || {
    echo 0
    return
  }
  grep -c '"kind": *"step"' "$metrics" || true
}

kill_in_the_middle() {
  set -m # a process group of its own, which the kill takes as a whole
  megatron-recipes plan "$plan" &
  job=$!
  set +m
  while kill -0 "$job" 2>/dev/null && [ "$(steps_done)" -le "$half" ]; do
    sleep 0.2
  done
  end_job
  wait "$job" 2>/dev/null || true
  job=
}

say "raw files -> records -> unique records -> tokens -> blend ($plan)"
preprocess run "$plan"

say "verify: every checksum and every count, read again"
for directory in "$run"/*/; do
  if [ -e "$directory/manifest.json" ]; then preprocess verify "${directory%/}"; fi
done

say "three clusters that dedup found"
for directory in "$run"/*/; do
  if [ -e "$directory/clusters.parquet" ]; then preprocess inspect "${directory%/}" --clusters 3; fi
done

if [ ! -e "$run/$training/DONE" ]; then
  say "train, and kill it with SIGKILL after step $half"
  if [ "$(steps_done)" -le "$half" ]; then kill_in_the_middle; fi
  say "start it again: it resumes from its newest whole checkpoint"
fi
megatron-recipes plan "$plan"

say "report"
preprocess report "$run" "$run/report"

cat >&2 <<EOT

Done in $SECONDS s. Everything lies in $run:
  report/report.html     what went in, what came out, and how well it was learnt: open it
  unique/                the records, deduplicated; clusters.parquet says what fell to what
  tokens_*/              Megatron datasets (.bin, .idx), held-out documents in valid-*
  blend.json             what training reads
  $training/                  checkpoints, metrics.jsonl, logs

For your own data:
  preprocess datasets                      what can be read
  cp $(printf %q "$plan") plans/mine.toml     then change inputs, datasets and directory in it
  preprocess run plans/mine.toml && megatron-recipes plan plans/mine.toml
(the commands are in .venv/bin)
EOT
