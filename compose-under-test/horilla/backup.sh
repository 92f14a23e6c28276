#!/usr/bin/env bash
# Backs up and restores database and media together: what the rows refer to is in the archive, and nothing is half.
#
# Whatever touches the media runs in a short-lived container of the application's image (python -m archive), and what
# touches the database in its container: so it works with a remote engine, and needs no other program here.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: backup.sh backup
       backup.sh list
       backup.sh verify ARCHIVE
       backup.sh restore ARCHIVE [--yes]
       backup.sh recover

backup   a verified archive in backups/; the last line on stdout is its path
list     the archives, newest first
verify   reads an archive whole, loads its database beside the real one, and looks for the file of every row
restore  database and media become what the archive holds, both or neither; --yes does not ask
recover  brings a restore that was cut off to one of its two ends

exit codes: 0 ok, 1 failed, 2 engine or Compose does not answer, 3 no volume, 64 usage
settings (environment or .env): BACKUP_DIR (./backups), BACKUP_OFFSITE_DIR (none), BACKUP_KEEP (14),
             BACKUP_RESTORE_TEST (yes), COMPOSE_PROJECT_NAME, COMPOSE_FILE, DOCKER_HOST as Compose knows them
TEXT
  exit "$USAGE"
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib/stack.sh
. "$here/lib/stack.sh"

readonly CHANGED_WHILE_READ=3 ATTEMPTS=5 LOCK_SECONDS=30
readonly ARCHIVE_NAME='^horilla-([0-9]{8})_([0-9]{6})\.tar$'

partial=    # what is being written here
snapshot=   # the token of the links on the volume
scratch=    # a database that goes again
restoring=  # the token of the restore under way
stopped=no  # whether the application was stopped

# --- backup ---------------------------------------------------------------------------------------------------

backup() {
  [ $# -eq 0 ] || usage
  begin
  need_volume
  need_image
  need_database
  refuse_media_elsewhere
  local keep offsite
  keep=$(setting BACKUP_KEEP 14)
  offsite=$(setting BACKUP_OFFSITE_DIR)
  [[ $keep =~ ^[1-9][0-9]*$ ]] || fail "$FAILED" "BACKUP_KEEP is '$keep', not a number of at least 1"
  # Made here it would hide that the disk or the share which belongs there is not mounted.
  if [ -n "$offsite" ] && ! { [ -d "$offsite" ] && [ -w "$offsite" ]; }; then
    fail "$FAILED" "BACKUP_OFFSITE_DIR $offsite is no directory that can be written"
  fi
  umask 077
  mkdir -p -- "$backup_dir"
  backup_dir=$(cd -- "$backup_dir" && pwd)
  remove_stale "$backup_dir"
  partial=$backup_dir/.horilla-$$.partial

  local written read archive
  take_both
  sync_to_disk "$partial"
  log "verifying"
  read=$(archive_in none verify <"$partial") || fail "$FAILED" "the archive cannot be read back"
  [ "$(value manifest "$written")" = "$(value manifest "$read")" ] ||
    fail "$FAILED" "the archive read back differs from what was written"
  if [ "$(setting BACKUP_RESTORE_TEST yes)" = yes ]; then test_restore "$partial"; fi
  local digest
  digest=$(digest_of "$partial")
  publish
  printf '%s  %s\n' "$digest" "${archive##*/}" >"$archive.sha256"
  sync_to_disk "$archive.sha256"
  log "$(value files "$read") files, $(value bytes "$read") bytes, and the database, verified: $archive"
  if [ -n "$offsite" ]; then send_offsite "$offsite" "$digest"; fi
  thin_out "$backup_dir" "$keep"
  if [ -n "$offsite" ]; then thin_out "$offsite" "$keep"; fi
  printf '%s\n' "$archive"
}

# Writes $partial and sets `written` to its summary.
take_both() {
  local attempt code messages dump=$partial.dump size sha256
  for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
    snapshot=$(date -u +%s)-$$
    hold_both "$dump"
    size=$(wc -c <"$dump")
    sha256=$(digest_of "$dump")
    log "writing the archive"
    code=0
    # The archive goes to the file; what is said goes to the variable.
    { messages=$(archive_in rw create "$snapshot" --dump-size "$size" --dump-sha256 "$sha256" \
      --about "project=$project" --about "created=$(date -u +%Y-%m-%dT%H:%M:%SZ)" 2>&1 >&3 <"$dump") || code=$?; } 3>"$partial"
    snapshot=
    rm -f -- "$dump"
    if [ "$code" -eq 0 ]; then
      written=$messages
      return
    fi
    printf '%s\n' "$messages" >&2
    [ "$code" -eq "$CHANGED_WHILE_READ" ] || break
  done
  fail "$FAILED" "no archive was made"
}

# Both at one moment: no row that refers to a file can be written while the database is dumped and the files are linked.
# The session that holds the rows ends with this script, however that ends.
hold_both() {
  local dump=$1 said from to tables
  printf -v tables ', %s' "${REFERENCE_TABLES[@]}"
  log "holding uploads"
  coproc HOLD { sql "$DATABASE" 2>&1; }
  # shellcheck disable=SC2153  # made by coproc
  from=${HOLD[0]} to=${HOLD[1]}
  # The lock first: the snapshot is taken by the first statement that reads.
  printf '%s\n' "BEGIN ISOLATION LEVEL REPEATABLE READ;" "SET LOCAL lock_timeout = '${LOCK_SECONDS}s';" \
    "LOCK TABLE ${tables:2} IN SHARE MODE;" "SELECT 'snapshot=' || pg_export_snapshot();" >&"$to"
  if ! read -r -t $((LOCK_SECONDS + 30)) said <&"$from" || [[ $said != snapshot=* ]]; then
    fail "$FAILED" "the rows cannot be held: ${said:-the database does not answer}"
  fi
  archive_in rw link "$snapshot" </dev/null >/dev/null || fail "$FAILED" "the files cannot be held"
  log "dumping the database"
  in_database pg_dump --format=custom --compress=1 --no-owner --no-privileges --dbname="$DATABASE" \
    --snapshot="${said#snapshot=}" </dev/null >"$dump" || fail "$FAILED" "the database cannot be dumped"
  # Only if the transaction still is what it was was anything held.
  printf '%s\n' "SELECT 'held';" "COMMIT;" >&"$to"
  if ! read -r -t 30 said <&"$from" || [ "$said" != held ]; then
    fail "$FAILED" "the rows were let go while they were dumped: ${said:-the database does not answer}"
  fi
  exec {to}>&-
  wait "${HOLD_PID:-}" 2>/dev/null || true
}

# Loads the archive's database beside the real one, and looks for the file of each of its rows.
test_restore() {
  log "restoring it beside the real one"
  scratch=${DATABASE}_test_$$
  load "$1" "$scratch"
  check_references "$1" "$scratch"
  drop "$scratch"
  scratch=
}

# Gives $partial its name, which no archive has yet; sets `archive`.
publish() {
  while true; do
    archive=$backup_dir/horilla-$(date -u +%Y%m%d_%H%M%S).tar
    if ln -- "$partial" "$archive" 2>/dev/null; then break; fi
    if [ ! -e "$archive" ]; then
      # A filesystem without hard links.
      mv -n -- "$partial" "$archive"
      [ ! -e "$partial" ] || fail "$FAILED" "cannot write $archive"
      break
    fi
    sleep 0.1
  done
  rm -f -- "$partial"
  partial=
  sync_to_disk "$backup_dir"
}

send_offsite() {
  local directory=$1 digest=$2 name=${archive##*/}
  remove_stale "$directory"
  partial=$directory/.horilla-$$.partial
  { cp -- "$archive" "$partial" && sync_to_disk "$partial" && [ "$(digest_of "$partial")" = "$digest" ] &&
    mv -- "$partial" "$directory/$name" && cp -- "$archive.sha256" "$directory/$name.sha256"; } ||
    fail "$FAILED" "the copy in $directory failed; $archive itself is whole"
  partial=
  sync_to_disk "$directory"
  log "copied to $directory"
}

# thin_out DIRECTORY COUNT: only the newest archives stay, and only archives go.
thin_out() {
  local name count=0
  while IFS= read -r name; do
    [[ $name =~ $ARCHIVE_NAME ]] || continue
    count=$((count + 1))
    if [ "$count" -gt "$2" ]; then
      rm -f -- "$1/$name" "$1/$name.sha256"
      log "removed $1/$name: the newest $2 are kept"
    fi
  done < <(archives_in "$1")
}

archives_in() { (cd -- "$1" && LC_ALL=C ls -1r); }

digest_of() {
  local digest
  digest=$(sha256sum <"$1")
  printf '%s' "${digest%% *}"
}

remove_stale() {
  local stale pid
  for stale in "$1"/.horilla-*.partial "$1"/.horilla-*.partial.dump; do
    pid=${stale##*/.horilla-}
    pid=${pid%%.*}
    case $pid in '' | *[!0-9]*) continue ;; esac
    if [ "$pid" = $$ ] || ! is_script "$pid"; then rm -f -- "$stale"; fi
  done
}

# --- list, verify ---------------------------------------------------------------------------------------------

list() {
  [ $# -eq 0 ] || usage
  find_compose
  read_settings
  set_backup_dir
  local name stamp mark found=no
  if [ -d "$backup_dir" ]; then
    while IFS= read -r name; do
      [[ $name =~ $ARCHIVE_NAME ]] || continue
      stamp="${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
      stamp="${stamp:0:4}-${stamp:4:2}-${stamp:6:2} ${stamp:9:2}:${stamp:11:2}:${stamp:13:2} UTC"
      mark="not verified"
      if [ -s "$backup_dir/$name.sha256" ]; then mark="verified"; fi
      printf '%s  %14d bytes  %-12s  %s\n' "$stamp" "$(wc -c <"$backup_dir/$name")" "$mark" "$backup_dir/$name"
      found=yes
    done < <(archives_in "$backup_dir")
  fi
  [ $found = yes ] || log "no archives in $backup_dir"
}

verify() {
  [ $# -eq 1 ] || usage
  local archive read
  begin
  need_image
  need_database
  find_archive "$1"
  read_archive
  test_restore "$archive"
  log "$archive is whole: $(value files "$read") files, $(value bytes "$read") bytes, and each row has its own"
}

# Sets `archive`; ./backups/… means the one beside this script when the caller has none.
find_archive() {
  archive=$1
  if [ ! -f "$archive" ] && [ -f "$here/$archive" ]; then archive=$here/$archive; fi
  if ! [ -f "$archive" ] || ! [ -r "$archive" ]; then fail "$FAILED" "no archive $archive"; fi
}

# Sets `read` to the summary of an archive of which every byte was looked at.
read_archive() {
  local recorded
  read=$(archive_in none verify <"$archive") || fail "$FAILED" "$archive is refused; nothing was touched"
  if [ -s "$archive.sha256" ]; then
    read -r recorded _ <"$archive.sha256"
    [ "$recorded" = "$(digest_of "$archive")" ] ||
      fail "$FAILED" "$archive is not what it was when it was made; nothing was touched"
  else
    log "$archive has no record of its verification; it was verified now"
  fi
}

# --- restore --------------------------------------------------------------------------------------------------

restore() {
  local archive='' yes=no read
  while [ $# -gt 0 ]; do
    case $1 in
      --yes) yes=yes ;;
      -*) usage ;;
      *) [ -z "$archive" ] || usage; archive=$1 ;;
    esac
    shift
  done
  [ -n "$archive" ] || usage
  begin
  refuse_media_elsewhere
  find_archive "$archive"
  if ! image_exists "${image[$APP]}"; then
    log "building the images"
    compose build >&2 </dev/null
  fi
  read_archive
  volume_exists "$media_volume" || make_volume "$MEDIA_KEY"
  check_writers
  start_database
  recover_all
  [ "$yes" = yes ] || confirm

  local token added
  token=$(date -u +%s)_$$
  restoring=$token
  log "loading the database of $archive beside the present one"
  load "$archive" "${DATABASE}_restore_$token"
  check_references "$archive" "${DATABASE}_restore_$token"
  log "unpacking the files beside the present ones"
  [ "$(value manifest "$(archive_in rw stage "$token" <"$archive")")" = "$(value manifest "$read")" ] ||
    fail "$FAILED" "$archive changed while it was read; nothing was touched"
  stop_application
  log "adding files"
  added=$(archive_in rw add "$token" </dev/null) || fail "$FAILED" "the files could not be added"
  log "swapping the databases"
  swap_databases "$token" || fail "$FAILED" "the databases could not change places"
  end_restore "$token"
  start_application
  log "restored $(value files "$read") files ($(value added "$added") were missing) and the database"
}

recover() {
  [ $# -eq 0 ] || usage
  begin
  need_volume
  need_image
  start_database
  recover_all
  start_application
}

# load ARCHIVE NAME: its database, as a new one.
load() {
  # As the cluster was made, not as template1 may have become.
  printf 'CREATE DATABASE %s OWNER %s TEMPLATE template0;\n' "$2" "$OWNER" | sql postgres || fail "$FAILED" "no database $2 could be made"
  archive_in none dump <"$1" | in_database pg_restore --exit-on-error --single-transaction --no-owner --no-privileges \
    --role="$OWNER" --dbname="$2" || fail "$FAILED" "the database of $1 cannot be loaded; nothing was touched"
}

check_references() {
  local without
  without=$(archive_in none files <"$1" | dangling "$2") ||
    fail "$FAILED" "the references of $1 cannot be checked; nothing was touched"
  [ -z "$without" ] || {
    printf '%s\n' "$without" >&2
    fail "$FAILED" "$1 has rows without their files; nothing was touched"
  }
}

# One transaction: of two names either none is changed or both.
swap_databases() {
  local old=${DATABASE}_old_$1 new=${DATABASE}_restore_$1
  sql postgres >/dev/null <<SQL
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname IN ('$DATABASE', '$new') AND pid <> pg_backend_pid();
BEGIN;
ALTER DATABASE $DATABASE RENAME TO $old;
ALTER DATABASE $new RENAME TO $DATABASE;
COMMIT;
SQL
}

# The databases say on which side of the swap a restore is; the files follow.
end_restore() {
  local token=$1
  if database_exists "${DATABASE}_old_$token"; then
    log "replacing and removing files"
    archive_in rw finish "$token" </dev/null || fail "$FAILED" "the files are not all in place; run ./backup.sh recover"
    drop "${DATABASE}_old_$token"
  else
    archive_in rw discard "$token" </dev/null || fail "$FAILED" "the files are not as before; run ./backup.sh recover"
    drop "${DATABASE}_restore_$token"
  fi
  restoring=
}

recover_all() {
  local token name
  while IFS= read -r token; do
    [ -n "$token" ] || continue
    if database_exists "${DATABASE}_old_$token"; then
      log "an earlier restore was cut off after the databases had changed places: completing it"
    else
      log "an earlier restore was cut off before the databases had changed places: undoing it"
    fi
    end_restore "$token"
  done < <({
    archive_in ro tokens </dev/null
    for name in $(databases_like restore) $(databases_like old); do printf '%s\n' "${name#"${DATABASE}"_*_}"; done
  } | sort -u)
  for name in $(databases_like test); do drop "$name"; done
}

databases_like() {
  printf "SELECT datname FROM pg_database WHERE datname ~ '^%s_%s_[0-9_]+\$';\n" "$DATABASE" "$1" | sql postgres
}

database_exists() {
  [ "$(printf "SELECT count(*) FROM pg_database WHERE datname = '%s';\n" "$1" | sql postgres)" = 1 ]
}

drop() {
  printf 'SET client_min_messages = warning;\nDROP DATABASE IF EXISTS %s WITH (FORCE);\n' "$1" | sql postgres
}

confirm() {
  local answer
  [ -t 0 ] || fail "$FAILED" "not a terminal: --yes restores without asking"
  printf '%s of project %s, made %s, holds %s files, %s bytes, and a database.\n' "$archive" \
    "$(value project "$read")" "$(value created "$read")" "$(value files "$read")" "$(value bytes "$read")" >&2
  read -r -p "This will REPLACE the database and everything on volume $media_volume. Continue? [y/N] " answer || answer=
  case $answer in y | Y | yes) ;; *) fail "$FAILED" "not confirmed; nothing was touched" ;; esac
}

# --- the stack ------------------------------------------------------------------------------------------------

begin() {
  read_stack
  set_backup_dir
  take_lock
}

set_backup_dir() {
  backup_dir=$(setting BACKUP_DIR "$here/backups")
  # A relative one is meant as in .env: from where this script lies.
  case $backup_dir in /*) ;; *) backup_dir=$here/${backup_dir#./} ;; esac
}

refuse_media_elsewhere() {
  [ "$(setting MEDIA_STORAGE)" != s3 ] ||
    fail "$FAILED" "the media lie in a bucket (MEDIA_STORAGE=s3): back it up there, by versioning or replication, and the database by pg_dump"
}

start_database() {
  local unwell
  if ! find_database; then
    log "starting the database"
    compose up --detach --no-build --no-deps --no-recreate "$DATABASE_SERVICE" >&2 </dev/null
    wait_healthy "$DATABASE_SERVICE" || fail "$FAILED" "the database does not come up: ${unwell[*]}"
    find_database || fail "$FAILED" "the database does not run"
  fi
  wait_healthy "$DATABASE_SERVICE" || fail "$FAILED" "the database is not well: ${unwell[*]}"
}

# Sets `writers` to the running containers of the project that can write to the media; others' are refused.
check_writers() {
  local running id owner writable
  writers=()
  running=$(docker ps --quiet --filter "volume=$media_volume")
  [ -n "$running" ] || return 0
  while read -r id owner writable; do
    [ "$writable" = true ] || continue
    [ "$owner" = "$project" ] ||
      fail "$FAILED" "container ${id:0:12} outside project $project writes to $media_volume; stop it first"
    writers+=("$id")
  done < <(
    # shellcheck disable=SC2086  # ids, one word each
    docker inspect --format '{{$one := .}}{{range .Mounts}}{{if eq .Name "'"$media_volume"'"}}{{$one.Id}} {{
      or (index $one.Config.Labels "com.docker.compose.project") "-"}} {{.RW}}{{"\n"}}{{end}}{{end}}' $running |
      while read -r id owner writable; do if [ -n "$id" ]; then echo "$id $owner $writable"; fi; done
  )
}

stop_application() {
  check_writers
  stopped=yes
  [ ${#writers[@]} -gt 0 ] || return 0
  log "stopping the application"
  docker stop "${writers[@]}" >/dev/null || fail "$FAILED" "the application could not be stopped"
}

# Whatever of the stack is not there is made; what is there is started as it is.
start_application() {
  local unwell
  log "starting the application"
  compose up --detach --no-build --no-recreate >&2 </dev/null || fail "$FAILED" "the application could not be started"
  stopped=no
  wait_healthy "${services[@]}" || fail "$FAILED" "not all is well: ${unwell[*]}"
}

# Whatever ended this: no partial archive stays, a restore is at one of its ends, and what was stopped runs again.
clean_up() {
  local code=$?
  trap '' INT TERM HUP
  set +e
  [ -z "$partial" ] || rm -f -- "$partial" "$partial.dump"
  [ -z "$snapshot" ] || archive_in rw unlink "$snapshot" </dev/null
  [ -z "$scratch" ] || drop "$scratch"
  if [ -n "$restoring" ]; then (end_restore "$restoring"); fi
  if [ "$stopped" = yes ]; then compose up --detach --no-build --no-recreate >&2 </dev/null; fi
  release_lock
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

[ $# -ge 1 ] || usage
action=$1
shift
case $action in
  backup | list | verify | restore | recover) "$action" "$@" ;;
  *) usage ;;
esac
