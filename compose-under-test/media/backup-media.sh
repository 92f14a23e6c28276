#!/usr/bin/env bash
# Backs up and restores the media volume of the Compose project in this directory.
#
# Everything that touches the volume runs in a short-lived container of the API's image (python3 -m media.archive),
# archives going through its stdin and stdout: so it works with a remote engine, and while the stack is down.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: backup-media.sh check
       backup-media.sh backup
       backup-media.sh list
       backup-media.sh restore ARCHIVE [--yes] [--merge]
       backup-media.sh recover

check    volume, mount point, files, bytes, free space, missing directories
backup   a verified archive in media-backups/; the last line on stdout is its path
list     the archives, newest first
restore  makes the media exactly what the archive holds; --merge keeps what it does not name, --yes does not ask
recover  undoes a restore that was cut off

exit codes: 0 ok, 1 failed, 2 engine or Compose does not answer, 3 no volume, 4 directories missing or not writable,
            5 little space left, 6 the running API has not mounted the volume, 7 interrupted restore, 64 usage
environment: MEDIA_BACKUP_DIR (./media-backups), MEDIA_MIN_FREE_BYTES (268435456), MEDIA_HELPER_LABEL (key=value),
             COMPOSE_PROJECT_NAME, COMPOSE_FILE, DOCKER_HOST as Compose knows them
TEXT
  exit 64
}

readonly FAILED=1 NO_ENGINE=2 NO_VOLUME=3 NOT_MOUNTED=6
readonly MEDIA_ROOT=/home/app/assets/media-files VOLUME_KEY=media_files SERVICE=api
readonly CHANGED_WHILE_READ=3 ATTEMPTS=5 HEALTHY_SECONDS=60

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
backup_dir=${MEDIA_BACKUP_DIR:-$here/media-backups}
partial=
restart=()

log() { printf 'backup-media: %s\n' "$*" >&2; }
fail() { local code=$1; shift; log "ERROR: $*"; exit "$code"; }

# --- the stack ------------------------------------------------------------------------------------------------

compose() {
  local command=(docker-compose)
  if docker compose version >/dev/null 2>&1; then command=(docker compose); fi
  if [ -n "${COMPOSE_FILE:-}" ]; then "${command[@]}" "$@"; else (cd -- "$here" && "${command[@]}" "$@"); fi
}

# Names are what Compose resolves them to, whatever the project is called: never put together here.
find_stack() {
  local config
  command -v docker >/dev/null || fail $NO_ENGINE "the docker command is not installed"
  config=$(compose config) || fail $NO_ENGINE "Compose cannot read the stack"
  project=$(awk '/^name: / { print $2; exit }' <<<"$config")
  volume=$(nested volumes "$VOLUME_KEY" name <<<"$config")
  image=$(nested services "$SERVICE" image <<<"$config")
  image=${image:-$project-$SERVICE}
  [ -n "$volume" ] || fail $NO_VOLUME "the stack declares no volume $VOLUME_KEY"
  docker version >/dev/null 2>&1 || fail $NO_ENGINE "the Docker engine does not answer"
  # Mounting a volume that does not exist would make an empty one.
  docker volume inspect "$volume" >/dev/null 2>&1 ||
    fail $NO_VOLUME "volume $volume does not exist; \`docker compose up -d\` makes it"
  docker image inspect "$image" >/dev/null 2>&1 ||
    fail $FAILED "image $image does not exist; \`docker compose build $SERVICE\` makes it"
}

nested() {
  awk -v section="$1:" -v key="  $2:" -v field="$3:" '
    /^[^ ]/ { in_section = ($0 == section) }
    /^  [^ ]/ { in_key = (in_section && $0 == key) }
    in_key && /^    [^ ]/ && $1 == field { gsub(/["\047]/, "", $2); print $2; exit }'
}

# archive_container MOUNT COMMAND...: MOUNT is none, ro or rw.
archive_container() {
  local mount=$1
  shift
  local options=(--rm --interactive --pull never --network none --log-driver none --read-only --user 0:0
    --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID
    --workdir /home/app --entrypoint python3)
  case $mount in
    ro) options+=(--mount "type=volume,src=$volume,dst=$MEDIA_ROOT,volume-nocopy,readonly") ;;
    rw) options+=(--mount "type=volume,src=$volume,dst=$MEDIA_ROOT,volume-nocopy") ;;
  esac
  if [ -n "${MEDIA_HELPER_LABEL:-}" ]; then options+=(--label "$MEDIA_HELPER_LABEL"); fi
  docker run "${options[@]}" "$image" -m media.archive "$@"
}

# mounts_of CONTAINER...: lines "id project/service rw" of those that mount the volume; rw is true or false.
mounts_of() {
  docker inspect --format '{{$container := .}}{{range .Mounts}}{{if eq .Name "'"$volume"'"}}{{$container.Id}} {{
    with $container.Config.Labels}}{{index . "com.docker.compose.project"}}/{{index . "com.docker.compose.service"}}{{
    end}} {{.RW}} {{.Destination}}{{"\n"}}{{end}}{{end}}' "$@"
}

# value NAME TEXT: the value of name=value in a line of words.
value() { tr ' ' '\n' <<<"$2" | sed -n "s/^$1=//p" | tail -n 1; }

# --- check ----------------------------------------------------------------------------------------------------

check() {
  [ $# -eq 0 ] || usage
  find_stack
  local running mount code=0
  docker volume inspect --format \
    'volume: {{.Name}} (driver {{.Driver}})'$'\n''location: {{.Mountpoint}}' "$volume"
  echo "mount point: $MEDIA_ROOT"
  running=$(docker ps --quiet --filter "label=com.docker.compose.project=$project" \
    --filter "label=com.docker.compose.service=$SERVICE")
  if [ -z "$running" ]; then
    echo "$SERVICE: not running"
  else
    # shellcheck disable=SC2086  # ids, one word each
    mount=$(mounts_of $running)
    if grep -q " true $MEDIA_ROOT\$" <<<"$mount"; then
      echo "$SERVICE: running, volume mounted"
    else
      echo "$SERVICE: running, volume NOT mounted for writing at $MEDIA_ROOT"
      code=$NOT_MOUNTED
    fi
  fi
  archive_container ro inspect --min-free "${MEDIA_MIN_FREE_BYTES:-268435456}" </dev/null || code=$?
  if [ "$code" -eq 0 ]; then echo "status: ok"; else echo "status: NOT OK ($code)"; fi
  exit "$code"
}

# --- backup ---------------------------------------------------------------------------------------------------

backup() {
  [ $# -eq 0 ] || usage
  find_stack
  umask 077
  mkdir -p -- "$backup_dir"
  backup_dir=$(cd -- "$backup_dir" && pwd)
  remove_stale_partials
  partial=$backup_dir/.media-backup-$$.partial
  local written read archive
  written=$(write_partial)
  sync_to_disk "$partial"
  log "verifying"
  read=$(archive_container none verify <"$partial") || fail $FAILED "the archive cannot be read back"
  [ "$(value entries "$written")" = "$(value entries "$read")" ] ||
    fail $FAILED "the archive read back differs from what was written"
  archive=$(publish)
  printf '%s  %s\n' "$(value sha256 "$read")" "${archive##*/}" >"$archive.sha256"
  sync_to_disk "$archive.sha256"
  log "$(value files "$read") files, $(value bytes "$read") bytes of volume $volume, verified"
  printf '%s\n' "$archive"
}

# Prints the summary of what is in $partial.
write_partial() {
  local attempt code messages
  for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
    code=0
    log "archiving volume $volume"
    # The archive goes to the file; what is said goes to the variable.
    { messages=$(archive_container ro create 2>&1 >&3 </dev/null) || code=$?; } 3>"$partial"
    if [ "$code" -eq 0 ]; then
      grep 'media-archive: summary ' <<<"$messages"
      return
    fi
    printf '%s\n' "$messages" >&2
    [ "$code" -eq "$CHANGED_WHILE_READ" ] || break
  done
  fail $FAILED "no archive was made"
}

# Gives $partial its name, which no archive has yet, and prints it.
publish() {
  local archive
  while true; do
    archive=$backup_dir/media-backup-$(date -u +%Y%m%d_%H%M%S).tar.gz
    if ln -- "$partial" "$archive" 2>/dev/null; then break; fi
    if [ ! -e "$archive" ]; then
      # A filesystem without hard links.
      mv -n -- "$partial" "$archive"
      [ ! -e "$partial" ] || fail $FAILED "cannot write $archive"
      break
    fi
    sleep 0.1
  done
  rm -f -- "$partial"
  sync_to_disk "$backup_dir"
  printf '%s\n' "$archive"
}

remove_stale_partials() {
  local stale pid
  for stale in "$backup_dir"/.media-backup-*.partial; do
    pid=${stale##*/.media-backup-}
    pid=${pid%.partial}
    case $pid in '' | *[!0-9]*) continue ;; esac
    kill -0 "$pid" 2>/dev/null || rm -f -- "$stale"
  done
}

sync_to_disk() { sync -- "$1" 2>/dev/null || sync; }

# --- list -----------------------------------------------------------------------------------------------------

list() {
  [ $# -eq 0 ] || usage
  local name stamp mark found=0
  [ -d "$backup_dir" ] || { log "no archives in $backup_dir"; return; }
  while IFS= read -r name; do
    [[ $name =~ ^media-backup-([0-9]{8})_([0-9]{6})\.tar\.gz$ ]] || continue
    stamp="${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
    stamp="${stamp:0:4}-${stamp:4:2}-${stamp:6:2} ${stamp:9:2}:${stamp:11:2}:${stamp:13:2} UTC"
    mark="not verified"
    if [ -s "$backup_dir/$name.sha256" ]; then mark="verified"; fi
    printf '%s  %14d bytes  %-12s  %s\n' "$stamp" "$(wc -c <"$backup_dir/$name")" "$mark" "$backup_dir/$name"
    found=1
  done < <(cd -- "$backup_dir" && LC_ALL=C ls -1r)
  [ "$found" -eq 1 ] || log "no archives in $backup_dir"
}

# --- restore --------------------------------------------------------------------------------------------------

restore() {
  local archive='' merge=0 yes=0
  while [ $# -gt 0 ]; do
    case $1 in
      --yes) yes=1 ;;
      --merge) merge=1 ;;
      -*) usage ;;
      *) [ -z "$archive" ] || usage; archive=$1 ;;
    esac
    shift
  done
  [ -n "$archive" ] || usage
  # ./media-backups/… means the one beside this script when the caller has none.
  if [ ! -f "$archive" ] && [ -f "$here/$archive" ]; then archive=$here/$archive; fi
  if ! [ -f "$archive" ] || ! [ -r "$archive" ]; then
    fail $FAILED "no archive $archive"
  fi
  find_stack

  local read staged
  read=$(archive_container none verify <"$archive") || fail $FAILED "$archive is refused; nothing was touched"
  check_mark "$archive" "$(value sha256 "$read")"
  check_writers
  [ "$yes" -eq 1 ] || confirm "$archive" "$merge" "$read"

  log "unpacking $archive"
  staged=$(archive_container rw stage <"$archive") || fail $FAILED "unpacking failed; nothing was touched"
  [ "$(value entries "$staged")" = "$(value entries "$read")" ] ||
    fail $FAILED "$archive changed while it was read; nothing was touched (./backup-media.sh recover cleans up)"
  stop_writers
  local options=("$(value token "$staged")")
  if [ "$merge" -eq 1 ]; then options+=(--merge); fi
  if ! archive_container rw swap "${options[@]}" </dev/null; then
    archive_container rw recover </dev/null || fail 7 "the restore could not be undone; run ./backup-media.sh recover"
    fail $FAILED "the restore failed; the old content is back"
  fi
  start_writers
  log "restored $(value files "$read") files, $(value bytes "$read") bytes to volume $volume"
}

recover() {
  [ $# -eq 0 ] || usage
  find_stack
  check_writers
  stop_writers
  archive_container rw recover </dev/null || fail 7 "the restore could not be undone"
  start_writers
}

check_mark() {
  local recorded
  [ -s "$1.sha256" ] || { log "$1 has no record of its verification; it was verified now"; return 0; }
  read -r recorded _ <"$1.sha256"
  [ "$recorded" = "$2" ] || fail $FAILED "$1 is not what it was when it was made; nothing was touched"
}

# Sets `writers` to the running containers of the project that can write to the volume; others' are refused.
check_writers() {
  local running mounts id owner writable _
  writers=()
  running=$(docker ps --quiet --filter "volume=$volume")
  [ -n "$running" ] || return 0
  # shellcheck disable=SC2086  # ids, one word each
  mounts=$(mounts_of $running)
  while read -r id owner writable _; do
    [ "$writable" = true ] || continue
    [ "${owner%%/*}" = "$project" ] ||
      fail $FAILED "container ${id:0:12} outside project $project writes to $volume; stop it first"
    writers+=("$id")
  done <<<"$mounts"
}

confirm() {
  local answer what="REPLACE everything on"
  [ "$2" -eq 0 ] || what="restore into"
  [ -t 0 ] || fail $FAILED "not a terminal: --yes restores without asking"
  printf '%s holds %s files, %s bytes.\n' "$1" "$(value files "$3")" "$(value bytes "$3")" >&2
  read -r -p "This will $what volume $volume. Continue? [y/N] " answer || answer=
  case $answer in y | Y | yes) ;; *) fail $FAILED "not confirmed; nothing was touched" ;; esac
}

# The media change places in milliseconds, but a request in flight must not see half of it.
stop_writers() {
  [ "${#writers[@]}" -gt 0 ] || return 0
  log "stopping $SERVICE"
  restart=("${writers[@]}")
  docker stop "${writers[@]}" >/dev/null || fail $FAILED "$SERVICE could not be stopped; nothing was touched"
}

start_writers() {
  [ "${#restart[@]}" -gt 0 ] || return 0
  log "starting $SERVICE"
  docker start "${restart[@]}" >/dev/null || fail $FAILED "$SERVICE could not be started"
  local id waited=0 health
  for id in "${restart[@]}"; do
    while true; do
      health=$(docker inspect --format '{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' "$id")
      case $health in healthy | none) break ;; esac
      [ "$waited" -lt $((HEALTHY_SECONDS * 10)) ] || fail $FAILED "$SERVICE is $health after the restore"
      sleep 0.1
      waited=$((waited + 1))
    done
  done
  restart=()
}

# Whatever ended this: no partial archive stays, and what was stopped runs again.
clean_up() {
  local code=$?
  trap '' INT TERM HUP
  [ -z "$partial" ] || rm -f -- "$partial"
  if [ "${#restart[@]}" -gt 0 ]; then docker start "${restart[@]}" >/dev/null || true; fi
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

[ $# -ge 1 ] || usage
action=$1
shift
case $action in
  check | backup | list | restore | recover) "$action" "$@" ;;
  *) usage ;;
esac
