#!/usr/bin/env bash
# Measure against named peers; tables, JSON and a chart go to benchmarks/results.
#
#   scripts/bench.sh
#
# Installs the peers into .tools/peers first, one by one: one that does not install is reported and
# left out. It is their own environment, so that what they need changes nothing here. TOKENIZERS
# (folders gpt2, llama3, ...), WEB (a .jsonl.zst) and JSON (a folder) choose what is measured on;
# without them it is this machine's own Python library.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(command -v uv || echo .tools/uv/bin/uv)
peers=$PWD/.tools/peers
[ -x "$peers/bin/python" ] || "$uv" venv --quiet --python .venv/bin/python "$peers"
while read -r package; do
  "$uv" pip install --quiet --python "$peers/bin/python" "$package" ||
    echo "bench: $package does not install here; it is left out" >&2
done < <(grep -v '^#' benchmarks/requirements.txt)

options=(--peer-python "$peers/bin/python")
[ -z "${TOKENIZERS:-}" ] || options+=(--tokenizers "$TOKENIZERS")
[ -z "${WEB:-}" ] || options+=(--web "$WEB")
[ -z "${JSON:-}" ] || options+=(--json "$JSON")
.venv/bin/python -m benchmarks.tokenize "${options[@]}"

options=(--peer-python "$peers/bin/python")
[ -z "${WEB:-}" ] || options+=(--web "$WEB")
.venv/bin/python -m benchmarks.dedup "${options[@]}"

options=()
[ -z "${WEB:-}" ] || options+=(--corpus "$WEB")
.venv/bin/python -m benchmarks.minhash_families ${options[@]+"${options[@]}"}

.venv/bin/python -m benchmarks.loop_cost

# Native files are made from real records of each format, which only their publishers can give.
[ -z "${SAMPLES:-}" ] || .venv/bin/python -m benchmarks.ingest --samples "$SAMPLES" --keep

# What the training promises and takes too long for every push.
.venv/bin/python -m pytest -m bench
.venv/bin/python -m benchmarks.layouts
