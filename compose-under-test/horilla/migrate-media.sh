#!/usr/bin/env bash
# Brings media out of a container's writable layer onto the volume, and says when that container may be removed.
#
# The container is only read, through the engine, whether it runs or not; no file on the volume is replaced. Whatever
# interrupts it: run it again, it goes on.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: migrate-media.sh [CONTAINER [PATH]]
       migrate-media.sh --check [CONTAINER [PATH]]

CONTAINER  the old one, by name or id; PATH is where it keeps its media (/app/media). Without one: those of the
           application that this stack runs
--check    only says whether everything is on the volume already

exit codes: 0 every file of the container is on the volume, by its digest; 1 failed, or something is not;
            2 engine or Compose does not answer, 3 no volume, 4 files on the volume differ from the container's; 64 usage
TEXT
  exit "$USAGE"
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib/stack.sh
. "$here/lib/stack.sh"

readonly DIFFERENT=4 ROUNDS=5

# Sets `found` to what a look at each file of the container, and at its counterpart, says.
compare() {
  local code=0
  found=$(docker cp "$container:$path/." - | archive_in ro compare) || code=$?
  if [ "$code" -eq "$DIFFERENT" ]; then
    fail "$DIFFERENT" "not all is on $media_volume, and nothing there is replaced ($found); the old container must stay"
  fi
  [ "$code" -eq 0 ] || fail "$FAILED" "the files of $container could not be compared"
}

check_container() {
  local mounted
  docker inspect --type container --format '{{.Id}}' "$container" >/dev/null 2>&1 ||
    fail "$FAILED" "there is no container $container"
  mounted=$(docker inspect --type container \
    --format '{{range .Mounts}}{{if eq .Destination "'"$path"'"}}{{.Type}} {{.Name}}{{.Source}}{{end}}{{end}}' "$container")
  case $mounted in
    "volume $media_volume"*) log "$container has mounted $media_volume at $path: there is nothing to bring"; exit 0 ;;
    '') ;;
    *) log "$path is a ${mounted%% *} in $container, not its writable layer; it is read all the same" ;;
  esac
  # A container without that directory has no media.
  if ! docker cp "$container:$path/." - >/dev/null 2>&1; then
    [ "$only_check" = yes ] || fail "$FAILED" "there is no directory $path in $container, or it cannot be read"
    exit 0
  fi
}

only_check=no
if [ "${1:-}" = --check ]; then
  only_check=yes
  shift
fi
if [ $# -gt 2 ] || [[ ${1:-} == -* ]]; then usage; fi
if [ $# -eq 0 ]; then
  read_stack
  running=$(containers_of "$APP"; containers_of "$REPLICA")
  [ -n "$running" ] || fail "$FAILED" "the stack runs no container of the application; name the old one"
  options=()
  if [ "$only_check" = yes ]; then options=(--check); fi
  for container in $running; do "$here/migrate-media.sh" "${options[@]}" "$container"; done
  exit 0
fi
container=$1
path=${2:-$MEDIA_ROOT}
path=${path%/}

read_stack
need_image
if [ "$only_check" = no ]; then
  take_lock
  trap release_lock EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
fi
check_container
if ! volume_exists "$media_volume"; then
  [ "$only_check" = no ] || fail "$NO_VOLUME" "volume $media_volume does not exist"
  make_volume "$MEDIA_KEY"
fi
compare
if [ "$only_check" = yes ]; then
  [ "$(value missing "$found")" -eq 0 ] || fail "$FAILED" "not all files of $container are on $media_volume ($found)"
  exit 0
fi
for ((round = 1; round <= ROUNDS; round++)); do
  # What was uploaded to the old container since is brought in the next round.
  if [ "$(value missing "$found")" -eq 0 ]; then
    log "$(value same "$found") files of $container are on $media_volume, each with the same digest"
    log "$container may be removed: docker rm -f $container"
    exit 0
  fi
  log "bringing $(value missing "$found") files to $media_volume"
  docker cp "$container:$path/." - | archive_in rw bring >/dev/null || fail "$FAILED" "not all files could be brought; the old container must stay"
  log "verifying"
  compare
done
fail "$FAILED" "the old container goes on taking uploads; stop them (docker stop $container), then run this again"
