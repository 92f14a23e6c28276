#!/usr/bin/env bash
# .venv with the locked dependencies and the package itself, editable. Needs Python 3.11 or newer, nothing else.
#   PYTHON=/path/to/python3 bootstrap/venv.sh
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

main() {
    local python started=$SECONDS
    rm -rf .venv
    python=$(find_python)
    ensure_ensurepip "$python"
    say venv "creating .venv with $("$python" --version) …"
    logged venv "$python" -m venv .venv
    say venv "installing $(grep -c '^[a-z].*==' requirements.lock) locked packages …"
    logged venv .venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
    logged venv .venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
    say venv "ready in $((SECONDS - started)) s"
}

main
