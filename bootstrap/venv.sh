#!/usr/bin/env bash
# .venv with the locked dependencies and the package itself, editable. Needs Python 3.11 or newer, nothing else.
#   PYTHON=/path/to/python3 bootstrap/venv.sh [STAMP]     STAMP: a file in .venv, made last; where it is, nothing is to do
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=bootstrap/common.sh
. bootstrap/common.sh

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local python
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if is_new_enough "$python"; then
            echo "$python"
            return
        fi
    done
    fail venv "Python 3.11 or newer was not found" "Install it, or name it: make PYTHON=/path/to/python3"
}

# Debian keeps ensurepip, without which there is no virtual environment, in a package of its own.
ensure_ensurepip() {
    local python=$1 package
    "$python" -c 'import ensurepip' 2>/dev/null && return
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    may_apt_install || fail venv "$python cannot make a virtual environment (it has no ensurepip)" \
        "Install it (Debian, Ubuntu: apt-get install $package), then run make again."
    apt_install venv "$package"
}

# uv's own entry of the lock file, hashes included.
locked_uv() { awk '/^uv==/ {entry = 1} entry {print} entry && !/\\$/ {exit}' requirements.lock; }

# pip alone takes six times as long, but knows every index, proxy and certificate this machine configured for it.
install_with_uv() {
    local index
    index=${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}
    locked_uv >.cache/uv.lock
    "${PIP[@]}" --require-hashes -r .cache/uv.lock || return
    export UV_CACHE_DIR=$PWD/.cache/uv UV_HTTP_TIMEOUT=20 UV_NO_CONFIG=1 UV_PYTHON=$PWD/.venv/bin/python
    [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
    .venv/bin/uv pip install --require-hashes -r requirements.lock || return
    .venv/bin/uv pip install --offline --no-deps --no-build-isolation -e .
}

install_with_pip() {
    "${PIP[@]}" --require-hashes -r requirements.lock || return
    "${PIP[@]}" --no-index --no-deps --no-build-isolation -e .
}

PIP=(.venv/bin/python -m pip --cache-dir .cache/pip --disable-pip-version-check install)

make_venv() {
    local python
    if [ -x .venv/bin/pip ] && is_new_enough .venv/bin/python; then
        say venv "bringing .venv up to date …"
        return
    fi
    python=$(find_python)
    ensure_ensurepip "$python"
    say venv "creating .venv with $("$python" --version) …"
    rm -rf .venv
    logged venv "$python" -m venv .venv
}

main() {
    local stamp=${1:-.venv/made} started=$SECONDS
    mkdir -p .cache
    exec 9>.cache/venv.mutex
    if command -v flock >/dev/null; then flock 9; fi # two makes at once; macOS has no flock
    [ ! -e "$stamp" ] || return 0
    make_venv
    say venv "installing $(grep -c '^[a-z].*==' requirements.lock) locked packages …"
    if ! logged venv install_with_uv; then
        say venv "uv could not install them; installing with pip …"
        logged venv install_with_pip
    fi
    rm -f .venv/made*
    touch "$stamp"
    say venv "ready in $((SECONDS - started)) s"
}

main "$@"
