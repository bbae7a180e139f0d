#!/usr/bin/env bash
# Make .venv with everything in it: Python 3.12, the locked packages, the compiled extension.
#
#   scripts/setup.sh
#
# Does nothing that is already done; `make setup` and every other target begin with it.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
  echo "setup: $*" >&2
  exit 1
}

newer_than() { # STAMP FILE...: whether a file is newer than the stamp, or the stamp is missing
  local stamp=$1
  shift
  [ ! -e "$stamp" ] || [ -n "$(find "$@" -newer "$stamp" -print -quit)" ]
}

find_uv() {
  if command -v uv >/dev/null 2>&1; then
    uv=$(command -v uv)
    return
  fi
  uv=.tools/uv/bin/uv
  [ -x "$uv" ] && return
  echo "setup: installing uv into .tools/uv" >&2
  command -v python3 >/dev/null 2>&1 || die "expected python3 on the PATH; install it, any version"
  local log=.tools/uv.log
  python3 -m pip install --quiet --disable-pip-version-check --target .tools/uv uv >"$log" 2>&1 ||
    {
      # Debian's python3 comes without pip but may make an environment that has it.
      python3 -m venv .tools/venv >>"$log" 2>&1 &&
        .tools/venv/bin/pip install --quiet --target .tools/uv uv >>"$log" 2>&1
    } || die "could not install uv with pip ($(tail -n 1 "$log")); install uv, or python3-venv"
  [ -x "$uv" ] || die "pip installed uv without $uv; install uv yourself"
}

make_environment() {
  if [ -x .venv/bin/python ] && .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))'; then
    return
  fi
  echo "setup: making .venv with Python 3.12" >&2
  rm -f .tools/packages.stamp .tools/extension.stamp # they speak of the environment before
  "$uv" venv --quiet --clear --python 3.12 .venv 2>.tools/venv.log ||
    die "expected Python 3.12, found none and could not fetch it; install python3.12 (with pyenv, for example: pyenv install 3.12)"
}

install_packages() {
  newer_than .tools/packages.stamp requirements.lock || return 0
  echo "setup: installing the packages of requirements.lock (5 GB, mostly PyTorch)" >&2
  "$uv" pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
  rm -f .tools/extension.stamp # sync has removed our own package
  touch .tools/packages.stamp
}

build_extension() {
  newer_than .tools/extension.stamp Cargo.toml Cargo.lock pyproject.toml rust_ext/Cargo.toml \
    rust_ext/build.rs rust_ext/src || return 0
  command -v cargo >/dev/null 2>&1 || die "expected cargo on the PATH; install Rust (rustup.rs)"
  command -v cc >/dev/null 2>&1 || die "expected a C compiler (cc) on the PATH; install gcc or clang"
  echo "setup: building the extension" >&2
  touch .tools/extension.begun # what is edited while it builds is newer than this
  PATH="$PWD/.venv/bin:$PATH" "$uv" pip install --quiet --python .venv/bin/python \
    --no-deps --no-build-isolation --reinstall --editable .
  mv .tools/extension.begun .tools/extension.stamp
}

mkdir -p .tools
find_uv
make_environment
install_packages
build_extension
