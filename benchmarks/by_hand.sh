#!/usr/bin/env bash
# What eleven steps of scenarios/media.persistence.yaml do to the media stack (`STEPS` of run.py): the same Compose
# commands and waits, and nothing else. Called in a copy of the project with COMPOSE_PROJECT_NAME and COMPOSE_FILE set.
set -euo pipefail

compose() { docker-compose "$@" >/dev/null 2>&1; }
containers() { docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"; }

ready() {
    local states address
    until states=$(containers | xargs docker inspect -f '{{.State.Status}} {{.State.Health.Status}}') &&
        ! grep -qv '^running healthy$' <<<"$states"; do
        sleep 0.05
    done
    address=$(docker-compose port proxy 80)
    until curl -fsS -o /dev/null "http://$address/api/v1/health"; do sleep 0.05; done
}

killed() { # SERVICE…
    local each
    each=$(docker-compose ps -q "$@")
    compose kill -s SIGKILL "$@"
    # shellcheck disable=SC2086  # several containers
    docker wait $each >/dev/null
    compose up -d
}

crash() {
    local each process
    for each in $(containers); do
        process=$(docker inspect -f '{{.State.Pid}}' "$each")
        kill -9 "$process" 2>/dev/null || docker run --rm --pid=host debian:bookworm-slim kill -9 "$process"
        until [ "$(docker inspect -f '{{.State.Running}} {{.State.Pid}}' "$each")" != "true $process" ] &&
            [ "$(docker inspect -f '{{.State.Status}}' "$each")" = running ]; do sleep 0.05; done
    done
}

backup() { ./backup-media.sh backup 2>/dev/null | tail -1; }
restore() { ./backup-media.sh restore "$1" --yes >/dev/null 2>&1; }

# One image after the other: `--rmi` takes them all at once, and Docker 20.10 fails where they share a layer.
trap 'compose down --volumes; docker images --format "{{.Repository}}" "$COMPOSE_PROJECT_NAME-*" | xargs -rn1 docker rmi >/dev/null' EXIT
compose build
compose up -d; ready
compose up -d; ready
compose restart; ready
compose stop; compose start; ready
killed api; ready
killed; ready
crash; ready
compose up -d --force-recreate; ready
compose down; compose up -d; ready
archive=$(backup); restore "$archive"; ready
archive=$(backup); compose down; docker volume rm "${COMPOSE_PROJECT_NAME}_media_files" >/dev/null
compose up -d; ready; restore "$archive"; ready
compose down --volumes; compose up -d; ready # `persistence run` begins with a fresh stack after that event
compose down --volumes; compose up -d; ready
