#!/usr/bin/env bash
# Says how the stack is, for people and for alerts: services, volumes, database, and whether each row has its file.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: status.sh

exit codes: 0 all is well, 1 the script failed, 2 engine or Compose does not answer, 3 a volume does not exist,
            4 rows refer to files that are missing or others, 5 little space left, 6 a service is not well or has not
            mounted the media, 7 a restore was cut off (./backup.sh recover), 8 no recent backup, 64 usage
settings (environment or .env): STATUS_MIN_FREE_BYTES (1073741824), STATUS_BACKUP_HOURS (unset: backups are not asked
             for), BACKUP_DIR, COMPOSE_PROJECT_NAME, COMPOSE_FILE, DOCKER_HOST as Compose knows them
TEXT
  exit "$USAGE"
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib/stack.sh
. "$here/lib/stack.sh"

readonly DANGLING=4 LITTLE_SPACE=5 UNWELL=6 CUT_OFF=7 NO_BACKUP=8 SHOWN=20

code=0
# worst CODE: the first that is found is the exit code.
worst() { if [ "$code" -eq 0 ]; then code=$1; fi; }

services_status() {
  local service id health
  echo "services of project $project"
  for service in "${services[@]}"; do
    local found=no
    while IFS= read -r id; do
      [ -n "$id" ] || continue
      found=yes
      health=$(health_of "$id")
      is_well "$health" || worst "$UNWELL"
      printf '  %-16s %-10s %s\n' "$service" "$health" "$(docker inspect --format '{{.Name}} of {{.Config.Image}}' "$id")"
      case $service in "$APP" | "$REPLICA") mount_status "$service" "$id" ;; esac
    done < <(containers_of "$service")
    if [ $found = no ] && [ "$service" != "$REPLICA" ]; then
      printf '  %-16s %s\n' "$service" "no container"
      worst "$UNWELL"
    fi
  done
}

mount_status() {
  local mounted
  mounted=$(docker inspect --format '{{range .Mounts}}{{if eq .Destination "'"$MEDIA_ROOT"'"}}{{.Name}}{{end}}{{end}}' "$2")
  if [ "$mounted" != "$media_volume" ]; then
    echo "  $1 has NOT mounted $media_volume at $MEDIA_ROOT: uploads are lost with its container"
    worst "$UNWELL"
  fi
}

volumes_status() {
  local key size place options=() present=()
  echo "volumes"
  for key in "${!volume[@]}"; do
    if volume_exists "${volume[$key]}"; then
      present+=("/volumes/${volume[$key]}")
      options+=(--mount "type=volume,src=${volume[$key]},dst=/volumes/${volume[$key]},readonly,volume-nocopy")
    else
      echo "  ${volume[$key]} does not exist"
      worst "$NO_VOLUME"
    fi
  done
  [ ${#present[@]} -gt 0 ] || return 0
  need_image
  while IFS=$'\t' read -r size place; do
    printf '  %-32s %12d KiB\n' "${place#/volumes/}" "$size"
  done < <(
    docker run --rm --pull never --network none --log-driver none --read-only --user 0:0 --cap-drop ALL \
      --cap-add DAC_READ_SEARCH "${labels[@]}" "${options[@]}" --entrypoint du "${image[$APP]}" -sk "${present[@]}" |
      LC_ALL=C sort -k 2
  )
}

media_status() {
  local said line free='' all='' cut_off='' files='' count=0 bytes=0 without
  if ! volume_exists "$media_volume"; then return; fi
  said=$(archive_in ro inspect </dev/null)
  while IFS= read -r line; do
    case $line in
      free=*) free=$(value free "$line") all=$(value all "$line") ;;
      restore=*) cut_off=yes ;;
      *$'\t'*)
        files+=$line$'\n'
        count=$((count + 1)) bytes=$((bytes + ${line##*$'\t'}))
        ;;
    esac
  done <<<"$said"
  echo "  $((free / 1048576)) MiB free of $((all / 1048576)) MiB where the media are"
  [ "$free" -ge "$(setting STATUS_MIN_FREE_BYTES 1073741824)" ] || worst "$LITTLE_SPACE"
  if [ -n "$cut_off" ]; then
    echo "  a restore was cut off: ./backup.sh recover"
    worst "$CUT_OFF"
  fi
  echo "media"
  echo "  $count files, $bytes bytes"
  find_database || return 0
  # Sizes are compared, not digests: an alert does not read every file.
  without=$(printf '%s' "$files" | dangling "$DATABASE")
  echo "  $(lines_of "$without") dangling references, $(printf '%s' "$files" | unreferenced "$DATABASE") files without a row"
  if [ -n "$without" ]; then
    count=0
    while [ "$count" -lt "$SHOWN" ] && IFS= read -r line; do
      echo "    $line"
      count=$((count + 1))
    done <<<"$without"
    worst "$DANGLING"
  fi
}

lines_of() {
  local count=0 line
  while IFS= read -r line; do if [ -n "$line" ]; then count=$((count + 1)); fi; done <<<"$1"
  echo "$count"
}

database_status() {
  local table
  echo "database"
  if ! find_database; then
    echo "  does not run"
    worst "$UNWELL"
    return
  fi
  {
    printf "SELECT '  ' || pg_size_pretty(pg_database_size('%s'));\n" "$DATABASE"
    for table in "${REFERENCE_TABLES[@]}"; do
      printf "SELECT '  %s: ' || count(*) || ' rows' FROM %s;\n" "$table" "$table"
    done
  } | sql "$DATABASE" || worst "$UNWELL"
}

backup_status() {
  local hours directory newest='' name age
  hours=$(setting STATUS_BACKUP_HOURS)
  directory=$(setting BACKUP_DIR "$here/backups")
  case $directory in /*) ;; *) directory=$here/${directory#./} ;; esac
  for name in "$directory"/horilla-*.tar; do
    if [ -s "$name.sha256" ] && [[ $name > $newest ]]; then newest=$name; fi
  done
  echo "backups"
  if [ -z "$newest" ]; then
    echo "  none in $directory"
    if [ -n "$hours" ]; then worst "$NO_BACKUP"; fi
    return
  fi
  age=$((($(date +%s) - $(date -r "$newest" +%s)) / 3600))
  echo "  newest: $newest, $age hours old"
  if [ -n "$hours" ] && [ "$age" -ge "$hours" ]; then worst "$NO_BACKUP"; fi
}

[ $# -eq 0 ] || usage
read_stack
services_status
volumes_status
media_status
database_status
backup_status
if [ "$code" -eq 0 ]; then echo "status: ok"; else echo "status: NOT OK ($code)"; fi
exit "$code"
