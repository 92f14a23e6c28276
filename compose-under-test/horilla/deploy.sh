#!/usr/bin/env bash
# Deploys what lies in this directory. Whatever interrupts it: run it again, it finishes; no volume is ever removed.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: deploy.sh

Validates Docker and the settings, creates volumes, builds, starts, migrates, collects static files, verifies every
service and reports status. What has changed is replaced, nothing else. If the new version does not become healthy,
the images that ran before are put back.

exit codes: 0 deployed, 1 refused or failed (the last lines say which), 2 engine or Compose does not answer, 64 usage
settings:   .env (see .env.production.example); the environment goes before it, as with Compose.
            HEALTHY_SECONDS (180): how long the new version may take; COMPOSE_PROJECT_NAME, COMPOSE_FILE, DOCKER_HOST
TEXT
  exit "$USAGE"
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib/stack.sh
. "$here/lib/stack.sh"

readonly STEPS=8 BACK_ATTEMPTS=3 TLS_KEY=horilla_tls SHORTEST_KEY=50 SHORTEST_PASSWORD=12 LOG_LINES=20
# Of an image that ran well before: IMAGE without its tag, and this.
readonly PREVIOUS=previous

step() { printf '[%s/%s] %s\n' "$1" "$STEPS" "$2"; }
say() { printf '      %s\n' "$*"; }

# --- 1: the settings ------------------------------------------------------------------------------------------

# Sets `faults`: every one, so that the file is mended once.
find_faults() {
  local name value
  faults=()
  if [ ! -e "$settings_directory/.env" ] && [ -z "$(setting SECRET_KEY)" ]; then
    faults+=("there is no .env: cp .env.production.example .env, then fill it in")
  fi
  secret SECRET_KEY "$SHORTEST_KEY"
  secret POSTGRES_PASSWORD "$SHORTEST_PASSWORD"
  if [ -n "$(setting HORILLA_ADMIN_USER)$(setting HORILLA_ADMIN_PASSWORD)" ]; then
    needed HORILLA_ADMIN_USER "HORILLA_ADMIN_PASSWORD is set"
    secret HORILLA_ADMIN_PASSWORD "$SHORTEST_PASSWORD"
  fi
  if [ -n "$(setting EMAIL_HOST_USER)$(setting EMAIL_HOST_PASSWORD)" ]; then
    needed EMAIL_HOST "a login for it is set"
    needed EMAIL_HOST_USER "EMAIL_HOST_PASSWORD is set"
    needed EMAIL_HOST_PASSWORD "EMAIL_HOST_USER is set"
  fi
  case $(setting MEDIA_STORAGE) in
    '' | disk) ;;
    s3)
      for name in AWS_STORAGE_BUCKET_NAME AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
        needed "$name" "MEDIA_STORAGE is s3"
      done
      ;;
    *) faults+=("MEDIA_STORAGE is neither disk nor s3") ;;
  esac
  for name in HTTP_PORT HTTPS_PORT APP_REPLICAS GUNICORN_WORKERS UPLOAD_MAX_BYTES DOCUMENT_MAX_BYTES EMAIL_PORT BACKUP_KEEP; do
    value=$(setting "$name")
    [[ $value =~ ^[0-9]*$ ]] || faults+=("$name is '$value', not a number")
  done
  value=$(setting UPLOAD_RATE)
  [[ $value =~ ^(0|[0-9]+/[smh])?$ ]] || faults+=("UPLOAD_RATE is '$value', not like 600/m")
  case $(setting TLS_SELF_SIGNED) in '' | yes | no) ;; *) faults+=("TLS_SELF_SIGNED is neither yes nor no") ;; esac
}

needed() { [ -n "$(setting "$1")" ] || faults+=("$1 is missing or empty, but $2"); }

# secret NAME LENGTH: never told, not even a wrong one.
secret() {
  local value plain
  value=$(setting "$1")
  plain=${value,,}
  plain=${plain//[^a-z0-9]/}
  if [ -z "$value" ]; then
    faults+=("$1 is missing or empty")
  elif [[ $plain =~ ^(changeme|changethis|replaceme|example|secret|secretkey|password|passw0rd|postgres|horilla|admin|test|todo|xx*)[0-9]*$ ||
    $plain =~ ^(your|insert|djangoinsecure|enter) || $value == *'<'*'>'* ]]; then
    faults+=("$1 is an example, not a secret")
  elif [ ${#value} -lt "$2" ]; then
    faults+=("$1 has ${#value} characters; at least $2 are needed")
  elif ! [[ ${value//"${value:0:1}"/} =~ ... ]]; then
    faults+=("$1 is the same character again and again")
  fi
}

validate() {
  local fault
  find_compose
  read_settings
  find_faults
  if [ ${#faults[@]} -gt 0 ]; then
    for fault in "${faults[@]}"; do log "$fault"; done
    fail "$FAILED" "the settings are not complete (${#faults[@]} faults); nothing was done"
  fi
  read_stack
  for service in $DATABASE_SERVICE $APP nginx; do
    [ -n "${image[$service]:-}" ] || fail "$FAILED" "the stack has no service $service"
  done
  # nginx would say so too, but only when everything else is up.
  if [ "$(setting TLS_SELF_SIGNED no)" != yes ] && [ -n "${volume[$TLS_KEY]:-}" ] && ! volume_exists "${volume[$TLS_KEY]}"; then
    fail "$FAILED" "there is no certificate: TLS_DIR names no directory, and volume ${volume[$TLS_KEY]} does not exist;" \
      "TLS_SELF_SIGNED=yes makes one to try it out with. Nothing was done"
  fi
  take_lock
}

# --- 2: volumes -----------------------------------------------------------------------------------------------

create_volumes() {
  local key
  for key in "${!volume[@]}"; do
    if volume_exists "${volume[$key]}"; then
      say "${volume[$key]}: there already"
    elif [ -n "${is_special[$key]:-}" ]; then
      say "${volume[$key]}: left to Compose, which knows its driver's options"
    else
      make_volume "$key"
      say "${volume[$key]}: created"
    fi
  done
  keep_unmounted_media
}

# A container of an older setup, without the volume, keeps uploads in its writable layer, which ends with it.
keep_unmounted_media() {
  local id mounted
  while IFS= read -r id; do
    [ -n "$id" ] || continue
    mounted=$(docker inspect --format '{{range .Mounts}}{{if eq .Destination "'"$MEDIA_ROOT"'"}}yes{{end}}{{end}}' "$id")
    if [ -z "$mounted" ] && image_exists "${image[$APP]}" && ! "$here/migrate-media.sh" --check "$id"; then
      fail "$FAILED" "container ${id:0:12} keeps media that are on no volume, and they would go with it." \
        "Run ./migrate-media.sh ${id:0:12}, then deploy"
    fi
  done < <(
    containers_of "$APP"
    containers_of "$REPLICA"
  )
}

# --- 3: images ------------------------------------------------------------------------------------------------

previous_of() {
  local name=${image[$1]}
  # A colon before a slash is a registry's port.
  if [[ ${name##*/} == *:* ]]; then name=${name%:*}; fi
  printf '%s:%s' "$name" "$PREVIOUS"
}

# What runs well now is what there is to go back to; what does not is nothing that one would want back.
keep_previous() {
  local service id used old
  declare -gA kept=()
  for service in "${services[@]}"; do
    [ -n "${is_built[$service]:-}" ] || continue
    id=$(containers_of "$service")
    id=${id%%$'\n'*}
    if [ -n "$id" ] && is_well "$(health_of "$id")"; then
      used=$(docker inspect --format '{{.Image}}' "$id")
      old=$(image_id "$(previous_of "$service")")
      if [ "$used" != "$old" ]; then
        docker tag "$used" "$(previous_of "$service")"
        # The one before it; not where anything still uses or names it.
        if [ -n "$old" ]; then docker image rm "$old" >/dev/null 2>&1 || true; fi
      fi
    fi
    kept[$service]=$(image_id "$(previous_of "$service")")
  done
}

image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || true; }

build() {
  keep_previous
  compose build </dev/null || fail "$FAILED" "the build failed; what ran goes on running"
}

# --- 4 to 7: the services -------------------------------------------------------------------------------------

start() { compose up --detach --no-build --wait --wait-timeout "$HEALTHY_SECONDS" </dev/null 2>&1; }

manage() {
  local id
  id=$(containers_of "$APP" running)
  [ -n "$id" ] || return 1
  docker exec "${id%%$'\n'*}" python manage.py "$@" </dev/null 2>&1
}

# Every service is well, and is what was built; the media are on the volume; a request gets through.
verify() {
  local service id mounted unwell
  if ! wait_healthy "${services[@]}"; then
    printf '      %s\n' "${unwell[@]}"
    return 1
  fi
  for service in "${services[@]}"; do
    while IFS= read -r id; do
      [ -n "$id" ] || continue
      if [ "$(docker inspect --format '{{.Image}}' "$id")" != "$(image_id "${image[$service]}")" ]; then
        say "$service does not run ${image[$service]} as it is now"
        return 1
      fi
      case $service in
        "$APP" | "$REPLICA")
          mounted=$(docker inspect --format \
            '{{range .Mounts}}{{if eq .Destination "'"$MEDIA_ROOT"'"}}{{.Name}}{{end}}{{end}}' "$id")
          if [ "$mounted" != "$media_volume" ]; then
            say "$service has not mounted $media_volume at $MEDIA_ROOT"
            return 1
          fi
          ;;
      esac
    done < <(containers_of "$service")
    say "$service: well"
  done
  answers
}

# A request as a browser's, where the engine is this machine's.
answers() {
  local address port line
  case ${DOCKER_HOST:-unix:} in unix:*) ;; *) return 0 ;; esac
  address=$(compose port nginx 80 2>/dev/null) || return 0
  port=${address##*:}
  [ -n "$port" ] || return 0
  if ! line=$(first_line "$port") || [[ $line != HTTP/*' 200 '* ]]; then
    say "GET /health/ on port $port is answered: ${line:-not at all}"
    return 1
  fi
  say "GET http://127.0.0.1:$port/health/: ${line%$'\r'}"
}

first_line() {
  # Not a failure of the script: what cannot be opened has no first line.
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET /health/ HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
    IFS= read -r -t 20 line <&3 || exit 1
    printf '%s' "$line"
  ) 2>/dev/null
}

# --- back -----------------------------------------------------------------------------------------------------

# roll_back WHAT: the images that ran before, if there are any; ends the script in any case.
roll_back() {
  local service attempt back=no same=yes unwell=()
  say "$1"
  last_words
  for service in "${!kept[@]}"; do
    [ -n "${kept[$service]}" ] || continue
    back=yes
    if [ "${kept[$service]}" != "$(image_id "${image[$service]}")" ]; then same=no; fi
  done
  if [ $back = no ]; then
    fail "$FAILED" "$1. Nothing ran before that one could go back to; it is left as it is, to be looked at." \
      "Data are untouched"
  fi
  if [ $same = yes ]; then
    fail "$FAILED" "$1, and its images are those that ran before: look at the settings, and the logs above." \
      "Data are untouched"
  fi
  log "$1: going back to the images that ran before"
  for service in "${!kept[@]}"; do
    if [ -n "${kept[$service]}" ]; then docker tag "${kept[$service]}" "${image[$service]}"; fi
  done
  # They ran well before: more patience than with what is new.
  for ((attempt = 1; attempt <= BACK_ATTEMPTS; attempt++)); do
    if start && wait_healthy "${services[@]}"; then
      fail "$FAILED" "NOT deployed: $1. The images that ran before run again, and are healthy. Data are untouched"
    fi
  done
  fail "$FAILED" "NOT deployed: $1. The images that ran before are back, but they are not healthy either" \
    "(${unwell[*]:-Compose failed}): look at the settings, and the logs above. Data are untouched"
}

last_words() {
  local service id
  for service in "${services[@]}"; do
    while IFS= read -r id; do
      if [ -n "$id" ] && ! is_well "$(health_of "$id")"; then
        log "the last lines of $service, which is $(health_of "$id"):"
        docker logs --tail "$LOG_LINES" "$id" 2>&1 | while IFS= read -r line; do printf '  | %s\n' "$line"; done >&2
      fi
    done < <(containers_of "$service")
  done
}

# --------------------------------------------------------------------------------------------------------------

clean_up() {
  local code=$?
  release_lock
  case $code in
    130 | 143) log "interrupted; run ./deploy.sh again to finish. Data are untouched" ;;
  esac
  exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

[ $# -eq 0 ] || usage

step 1 "Validating Docker and the settings"
validate
step 2 "Creating volumes"
create_volumes
step 3 "Building images"
build
step 4 "Starting services"
start || roll_back "the new version did not become healthy"
step 5 "Running migrations"
manage migrate --noinput || roll_back "the migrations failed"
step 6 "Collecting static files"
manage collectstatic --noinput || roll_back "the static files could not be collected"
step 7 "Verifying services"
verify || roll_back "not every service is well"
step 8 "Reporting status"
"$here/status.sh" || log "status.sh has something to say (exit code $?); the deploy itself is done"
echo "deployed"
