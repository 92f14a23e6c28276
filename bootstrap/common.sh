# What the set-up scripts share; sourced by them, with the checkout as the working directory.
# shellcheck shell=bash

LOGS=.cache/logs

say() { printf '%s: %s\n' "$1" "$2"; }

# fail TOPIC WHAT REMEDY…
fail() {
    printf '%s: %s\n' "$1" "$2" >&2
    shift 2
    printf '  %s\n' "$@" >&2
    exit 1
}

# logged NAME COMMAND…: the command's output goes to a log file, and its end to the screen where the command fails.
logged() {
    local log=$LOGS/$1.log
    shift
    mkdir -p "$LOGS"
    printf '\n$ %s\n' "$*" >>"$log"
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        printf '%s failed; the end of %s:\n' "$1" "$log" >&2
        tail -n 20 "$log" | sed 's/^/  | /' >&2
        return 1
    fi
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# On Debian, Ubuntu and what is made from them, as root: only there does the set-up install anything.
may_apt_install() { is_root && [ -f /etc/debian_version ] && command -v apt-get >/dev/null; }

# apt_install TOPIC PACKAGE…
apt_install() {
    local topic=$1
    shift
    say "$topic" "installing $* …"
    logged apt apt-get update -q || say "$topic" "not every package list could be renewed; going on with those that are there"
    logged apt env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}
