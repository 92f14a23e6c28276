#!/usr/bin/env bash
# A Chromium for the tests of report.html: the one on PATH, else Debian's, where it may be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=bootstrap/common.sh
. bootstrap/common.sh

main() {
    local browser
    for browser in chromium chromium-browser google-chrome; do
        if command -v "$browser" >/dev/null; then return; fi
    done
    if may_apt_install; then
        apt_install chromium chromium fonts-dejavu-core
    else
        say chromium "no Chromium on PATH, and it may not be installed here: the tests of the page are skipped"
    fi
}

main "$@"
