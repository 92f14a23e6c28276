#!/usr/bin/env bash
# As such scripts are mostly written: fixed names, `docker exec` into the API, `docker run -v` on the volume.
set -euo pipefail

container=eatfit247-cms-api
volume=infra_media_files
image=infra-api
root=/home/app/assets/media-files
backups=./media-backups

in_volume() { docker run --rm -i --user 0:0 -v "$volume:/media" -v "$PWD/media-backups:/backups" "$image" sh -c "$1"; }

case ${1:-} in
  check)
    docker volume inspect --format '{{.Name}} at {{.Mountpoint}}' "$volume"
    docker exec "$container" sh -c "find $root -type f | wc -l"
    ;;
  backup)
    mkdir -p "$backups"
    archive=media-backup-$(date -u +%Y%m%d_%H%M%S).tar.gz
    in_volume "tar -C /media -czf /backups/$archive ."
    echo "$backups/$archive"
    ;;
  list)
    ls -1 "$backups"
    ;;
  restore)
    archive=$(basename "${2:?an archive}")
    test -f "$backups/$archive"
    docker stop "$container" >/dev/null
    in_volume "find /media -mindepth 1 -delete && tar -C /media -xzpf /backups/$archive"
    docker start "$container" >/dev/null
    ;;
  *)
    echo "usage: backup-media.sh check | backup | list | restore ARCHIVE" >&2
    exit 64
    ;;
esac
