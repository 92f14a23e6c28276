#!/usr/bin/env bash
# The other sides of the benchmarks: curl and wrk, from Debian where they may be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=bootstrap/common.sh
. bootstrap/common.sh

main() {
    local missing=() program
    for program in curl wrk; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    if ((${#missing[@]} == 0)); then return; fi
    if may_apt_install; then
        apt_install bench "${missing[@]}"
    else
        say bench "not on PATH, and not to be installed here: ${missing[*]}"
        exit 1
    fi
}

main "$@"
