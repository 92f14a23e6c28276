# What the scripts know of the stack; sourced by them. Needs bash, coreutils and docker, nothing else.
# shellcheck shell=bash

# For those that source it.
# shellcheck disable=SC2034
readonly FAILED=1 NO_ENGINE=2 NO_VOLUME=3 USAGE=64
readonly MEDIA_ROOT=/app/media MEDIA_KEY=horilla_media APP=horilla REPLICA=horilla-replica
readonly DATABASE=horilla OWNER=horilla SUPERUSER=postgres DATABASE_SERVICE=db
readonly HEALTHY_SECONDS=${HEALTHY_SECONDS:-180}

# Of the short-lived containers.
labels=()
if [ -n "${HELPER_LABEL:-}" ]; then labels=(--label "$HELPER_LABEL"); fi

program=${0##*/}
program=${program%.sh}

log() { printf '%s: %s\n' "$program" "$*" >&2; }
fail() { local code=$1; shift; log "ERROR: $*"; exit "$code"; }

# --- Compose --------------------------------------------------------------------------------------------------

find_compose() {
  command -v docker >/dev/null || fail $NO_ENGINE "the docker command is not installed"
  if docker compose version >/dev/null 2>&1; then
    compose_command=(docker compose)
  elif command -v docker-compose >/dev/null; then
    compose_command=(docker-compose)
  else
    fail $NO_ENGINE "Docker Compose is not installed: neither \`docker compose\` nor \`docker-compose\` is there"
  fi
  docker version >/dev/null 2>&1 || fail $NO_ENGINE "the Docker engine does not answer"
}

# The stack's files: those of the environment, else what Compose finds here by itself, else the production file.
compose() {
  local file
  if [ -n "${COMPOSE_FILE:-}" ]; then "${compose_command[@]}" "$@"; return; fi
  for file in compose.yaml compose.yml docker-compose.yaml docker-compose.yml; do
    if [ -e "$here/$file" ]; then (cd -- "$here" && "${compose_command[@]}" "$@"); return; fi
  done
  (cd -- "$here" && "${compose_command[@]}" -f docker-compose.production.yaml "$@")
}

# setting NAME [DEFAULT]: its value as Compose has it: the environment's, else that of .env.
setting() { local value=${settings[$1]:-}; printf '%s' "${value:-${2:-}}"; }

# Asked of Compose with a file of its own: the stack's cannot be resolved while a required setting is missing.
read_settings() {
  local line said
  declare -gA settings=()
  settings_directory=$here
  if [ -n "${COMPOSE_FILE:-}" ]; then
    settings_directory=$(dirname -- "${COMPOSE_FILE%%"${COMPOSE_PATH_SEPARATOR:-:}"*}")
  fi
  said=$(printf 'services: {settings: {image: none}}\n' |
    COMPOSE_PROJECT_NAME=settings COMPOSE_PROFILES='' \
      "${compose_command[@]}" -f - --project-directory "$settings_directory" config --environment) ||
    fail $FAILED "Compose cannot read the settings (.env)"
  while IFS= read -r line; do
    if [[ $line =~ ^([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]]; then settings[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}; fi
  done <<<"$said"
}

# Names are what Compose resolves them to, whatever the project is called: never put together here.
# Sets project, services, image[SERVICE], is_built[SERVICE], volume[KEY], is_special[KEY].
read_stack() {
  local config line section='' key='' field value
  find_compose
  read_settings
  config=$(compose config) || fail $FAILED "Compose cannot read the stack"
  services=()
  declare -gA image=() is_built=() volume=() is_special=()
  while IFS= read -r line; do
    if [[ $line =~ ^name:\ (.*)$ ]]; then
      project=$(unquoted "${BASH_REMATCH[1]}")
    elif [[ $line =~ ^([a-z_-]+): ]]; then
      section=${BASH_REMATCH[1]}
    elif [[ $line =~ ^\ \ ([^\ ].*):( \{\})?$ ]]; then
      key=$(unquoted "${BASH_REMATCH[1]}")
      if [ "$section" = services ]; then services+=("$key"); fi
    elif [[ $line =~ ^\ \ \ \ ([a-z_]+):\ ?(.*)$ ]]; then
      field=${BASH_REMATCH[1]}
      value=$(unquoted "${BASH_REMATCH[2]}")
      case $section/$field in
        services/image) image[$key]=$value ;;
        services/build) is_built[$key]=yes ;;
        volumes/name) volume[$key]=$value ;;
        volumes/external | volumes/driver_opts) is_special[$key]=yes ;;
        volumes/driver) if [ "$value" != local ]; then is_special[$key]=yes; fi ;;
      esac
    fi
  done <<<"$config"
  for key in "${services[@]}"; do
    if [ -z "${image[$key]:-}" ]; then image[$key]=$project-$key; fi
  done
  [ -n "${volume[$MEDIA_KEY]:-}" ] || fail $NO_VOLUME "the stack declares no volume $MEDIA_KEY"
  media_volume=${volume[$MEDIA_KEY]}
}

unquoted() {
  local text=$1
  case $text in
    \"*\" | \'*\') text=${text:1:${#text}-2} ;;
  esac
  printf '%s' "$text"
}

# --- the engine -----------------------------------------------------------------------------------------------

volume_exists() { docker volume inspect "$1" >/dev/null 2>&1; }
image_exists() { docker image inspect "$1" >/dev/null 2>&1; }

# make_volume KEY: as Compose would, which afterwards takes it for its own.
make_volume() {
  docker volume create --label "com.docker.compose.project=$project" \
    --label "com.docker.compose.volume=$1" "${volume[$1]}" >/dev/null
}

need_volume() {
  # Mounting a volume that does not exist would make an empty one.
  volume_exists "$media_volume" || fail $NO_VOLUME "volume $media_volume does not exist; ./deploy.sh makes it"
}

need_image() {
  image_exists "${image[$APP]}" || fail $FAILED "image ${image[$APP]} does not exist; ./deploy.sh builds it"
}

# containers_of SERVICE [STATUS]: their ids, a line each; as `docker-compose ps` finds them, but ten times as fast.
containers_of() {
  docker ps --all --quiet --no-trunc --filter "label=com.docker.compose.project=$project" \
    --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False \
    ${2:+--filter "status=$2"}
}

# health_of CONTAINER: starting, healthy or unhealthy; of one without a health check, or that does not run, its state.
health_of() {
  docker inspect --format '{{if and .State.Health (eq .State.Status "running")}}{{.State.Health.Status}}{{
    else}}{{.State.Status}}{{end}}' "$1" 2>/dev/null || echo gone
}

is_well() { case $1 in healthy | running) ;; *) return 1 ;; esac; }

# wait_healthy SERVICE...: until each has a container, and each container is well. What is not is in `unwell`.
wait_healthy() {
  local deadline=$((SECONDS + HEALTHY_SECONDS)) service id health
  while true; do
    unwell=()
    for service; do
      local found=0
      while IFS= read -r id; do
        [ -n "$id" ] || continue
        found=1
        health=$(health_of "$id")
        is_well "$health" || unwell+=("$service is $health")
      done < <(containers_of "$service")
      if [ $found -eq 0 ] && [ "$service" != "$REPLICA" ]; then unwell+=("$service has no container"); fi
    done
    if [ ${#unwell[@]} -eq 0 ]; then return 0; fi
    if [ $SECONDS -ge $deadline ]; then return 1; fi
    sleep 0.2
  done
}

# archive_in MOUNT COMMAND...: a command of the archive package beside the media; MOUNT is none, ro or rw.
archive_in() {
  local mount=$1
  shift
  local options=(--rm --interactive --pull never --network none --log-driver none --read-only --user 0:0
    --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID
    --workdir /app --entrypoint python)
  # Not `volume-nocopy`: a fresh volume takes owner and mode of the image's directory.
  case $mount in
    ro) options+=(--mount "type=volume,src=$media_volume,dst=$MEDIA_ROOT,readonly") ;;
    rw) options+=(--mount "type=volume,src=$media_volume,dst=$MEDIA_ROOT") ;;
  esac
  docker run "${options[@]}" "${labels[@]}" "${image[$APP]}" -m archive "$@"
}

# value NAME TEXT: the value of name=value among the words of a text.
value() {
  local word
  for word in $2; do
    if [ "${word%%=*}" = "$1" ]; then printf '%s' "${word#*=}"; return; fi
  done
}

# --- the database ---------------------------------------------------------------------------------------------

find_database() {
  local ids
  ids=$(containers_of $DATABASE_SERVICE running)
  database_container=${ids%%$'\n'*}
  [ -n "$database_container" ]
}

need_database() {
  find_database || fail $FAILED "the database does not run; \`docker-compose up -d $DATABASE_SERVICE\` starts it"
  local unwell
  wait_healthy $DATABASE_SERVICE || fail $FAILED "the database is not well: ${unwell[*]}"
}

# in_database PROGRAM ARGUMENTS...: in the database's container, where its superuser needs no password.
in_database() { docker exec --interactive "$database_container" "$@" --username="$SUPERUSER"; }

# sql DATABASE <STATEMENTS: rows as text, columns separated by |.
sql() {
  in_database psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --dbname="$1"
}

# Every reference to a file that the database holds, with the digest and size that belong to it where it knows them.
readonly REFERENCE_TABLES=(base_company employee_employee employee_document)
readonly REFERENCES="
  SELECT icon AS name, nullif(icon_sha256, '') AS sha256, icon_size::bigint AS size,
         'base_company ' || id || ' icon' AS place FROM base_company WHERE icon <> ''
  UNION ALL
  SELECT icon_webp, NULL, NULL, 'base_company ' || id || ' icon_webp' FROM base_company WHERE icon_webp <> ''
  UNION ALL
  SELECT avatar, nullif(avatar_sha256, ''), avatar_size::bigint, 'employee_employee ' || id || ' avatar'
    FROM employee_employee WHERE avatar <> ''
  UNION ALL
  SELECT file, nullif(file_sha256, ''), file_size::bigint, 'employee_document ' || id || ' file'
    FROM employee_document WHERE file <> ''"

# dangling DATABASE <FILES: a line for each reference that none of the files fulfils; FILES as `archive inspect` prints.
dangling() { with_files "$1" "
  SELECT place || ': ' || r.name || CASE WHEN f.name IS NULL THEN ' is missing' ELSE ' is another file' END
    FROM refs r LEFT JOIN files f USING (name)
   WHERE f.name IS NULL OR f.size <> r.size OR f.sha256 <> r.sha256 ORDER BY 1;"; }

# unreferenced DATABASE <FILES: how many files no row refers to.
unreferenced() { with_files "$1" "SELECT count(*) FROM files WHERE name NOT IN (SELECT name FROM refs);"; }

with_files() {
  {
    printf 'CREATE TEMP TABLE files (name text, sha256 text, size bigint);\nCOPY files FROM STDIN;\n'
    cat
    printf '\\.\nCREATE TEMP VIEW refs AS %s;\n%s\n' "$REFERENCES" "$2"
  } | sql "$1"
}

# --- one at a time --------------------------------------------------------------------------------------------

# Released when the script ends; what a kill leaves names a process that is no more.
take_lock() {
  local holder
  lock=$here/.lock
  until ln -s -- "$$" "$lock" 2>/dev/null; do
    holder=$(readlink -- "$lock") || continue
    if is_script "$holder"; then
      lock=
      fail $FAILED "another script works on this stack (process $holder)"
    fi
    rm -f -- "$here/.lock"
  done
}

is_script() {
  kill -0 "$1" 2>/dev/null || return 1
  [ -r "/proc/$1/cmdline" ] || return 0
  # Its number may be another process's by now.
  [[ $(tr '\0' ' ' <"/proc/$1/cmdline") == *.sh* ]]
}

release_lock() { [ -z "${lock:-}" ] || rm -f -- "$lock"; }

# Nothing but that: everything on the machine is not ours to wait for.
sync_to_disk() { sync -- "$1"; }
