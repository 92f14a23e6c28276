#!/bin/sh
# Makes the media directories on the volume. Idempotent: what exists keeps its content, mode and owner.
# Runs before the API starts, and by hand: docker exec eatfit247-cms-api /home/app/init-media-dirs.sh
set -eu

root=${MEDIA_ROOT:-/home/app/assets/media-files}
list=${MEDIA_DIRECTORIES:-/home/app/media-directories}

log() { echo "init-media-dirs: $*"; }
fail() { log "ERROR: $*" >&2; exit 1; }

[ -d "$root" ] || fail "$root does not exist"

# A restore that was cut off is undone before anything is added to what it left.
if [ -e "$root/.media-restore" ]; then
  (cd /home/app && python3 -m media.archive recover) ||
    fail "an interrupted restore is on the volume; run ./backup-media.sh recover"
fi

created=0
present=0
while IFS= read -r name; do
  [ -n "$name" ] || continue
  directory=$root/$name
  if [ -d "$directory" ]; then
    present=$((present + 1))
  elif [ -e "$directory" ] || [ -L "$directory" ]; then
    fail "$directory exists and is not a directory"
  else
    mkdir -m 755 "$directory" ||
      fail "cannot create $directory as $(id -un): is the volume writable? ($(stat -c '%U:%G %A' "$root"))"
    log "created $name"
    created=$((created + 1))
  fi
done < "$list"

[ -w "$root" ] || fail "$root is not writable for $(id -un) ($(stat -c '%U:%G %A' "$root"))"
[ "$created" -eq 0 ] || sync "$root"
log "$root: $created created, $present already there"
