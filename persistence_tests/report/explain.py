"""What each finding code and each audit rule means, with a broken and a mended example."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache

from persistence_tests.audit.diagnosis import RULES
from persistence_tests.errors import UsageError
from persistence_tests.model.finding import Symptom


@dataclass(frozen=True, slots=True)
class Article:
    """`code` is what the user types; `broken` and `mended` are code or configuration."""

    code: str
    name: str
    meaning: str
    broken: str
    mended: str

    def text(self) -> str:
        def indented(block: str) -> str:
            return "\n".join(f"    {line}" if line else "" for line in block.strip("\n").splitlines())

        head = self.code if self.code == self.name else f"{self.code}: {self.name}"
        return (
            f"{head}\n\n{self.meaning}\n\nBroken:\n\n{indented(self.broken)}\n\n"
            f"Mended:\n\n{indented(self.mended)}\n"
        )


def explain(code: str) -> Article:
    """The article of a code ("PV001", "missing", "no-volume"). UsageError for any other."""
    articles = catalogue()
    wanted = code.strip().lower()
    for article in articles:
        if wanted in {article.code.lower(), article.name.lower()}:
            return article
    known = {word.lower(): word for article in articles for word in (article.code, article.name)}
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    raise UsageError(
        f"no finding code or rule is called {code!r}",
        remedy=f"did you mean {known[near[0]]!r}?" if near else "`persistence explain` lists all of them",
    )


def contents() -> list[str]:
    """A line for each article; none is longer than 80 characters."""
    lines: list[str] = []
    for title, those in (
        ("Findings: what is wrong", [a for a in catalogue() if a.code != a.name]),
        ("Rules: why it is", [a for a in catalogue() if a.code == a.name]),
    ):
        heads = [a.code if a.code == a.name else f"{a.code}  {a.name}" for a in those]
        longest = max(map(len, heads))
        lines += ["", title] if lines else [title]
        lines += [
            f"  {head:<{longest}}  {IN_SHORT[article.name]}"
            for head, article in zip(heads, those, strict=True)
        ]
    return lines


@cache
def catalogue() -> tuple[Article, ...]:
    """All articles: symptoms by code, then rules in the order in which they are tried."""
    symptoms = [Article(symptom.code, symptom.value, *SYMPTOMS[symptom]) for symptom in Symptom]
    rules = [Article(rule, rule, *RULE_TEXTS[rule]) for rule in RULES]
    return (*sorted(symptoms, key=lambda article: article.code), *rules)


IN_SHORT = {
    "missing": "acknowledged, and gone from every volume",
    "orphaned": "gone from its place, still on another volume",
    "empty": "there with 0 bytes, though more were acknowledged",
    "truncated": "only its beginning is there",
    "zeroed": "zeros where bytes were acknowledged",
    "torn": "two versions of it, mixed",
    "corrupted": "bytes that nobody wrote",
    "foreign": "the bytes of another name",
    "stale": "an older version than the acknowledged one",
    "resurrected": "back, though deleted or made after the backup",
    "unexpected": "a name that nobody wrote",
    "metadata": "another mode or owner than before",
    "unserved": "stored, and the path answers an error",
    "masked": "the path answers 2xx with other bytes",
    "diverging": "the paths do not show the same",
    "dangling": "a database row without its file",
    "unreferenced": "a file without its database row",
    "tmpfs": "the service writes to memory",
    "mount-elsewhere": "the volume is mounted where nobody writes",
    "no-volume": "the files are in the container's writable layer",
    "anonymous-volume": "the volume has no name, and `down` leaves it behind",
    "volume-removed": "the event removed the volume",
    "project-volume": "the volume is named after the project's directory",
    "other-volume": "the edited file mounts something else there",
    "incomplete-restore": "whole directories do not come back from the backup",
    "restored-apart": "the database and the files come back from two moments",
    "merging-restore": "the restore keeps what was made after the backup",
    "acknowledged-too-early": "answered before the bytes were in the file",
    "never-synced": "answered before anything was on the disk",
    "name-before-bytes": "on the disk before its bytes were",
    "wiped-at-start": "something that runs at start removes the files",
    "answers-for-everything": "the server answers 2xx for any name",
    "not-served": "the bytes are stored, and one path does not serve them",
}

SYMPTOMS: dict[Symptom, tuple[str, str, str]] = {
    Symptom.MISSING: (
        "A write was acknowledged, and after the event the name is gone from every volume that was looked at.",
        "services:\n  api:\n    image: cms   # writes to /home/app/media, which no volume holds",
        'services:\n  api:\n    image: cms\n    volumes: ["media:/home/app/media"]\nvolumes:\n  media:',
    ),
    Symptom.ORPHANED: (
        "The name is gone from its place, but its bytes are still on another volume of the engine, which the "
        "finding names. They can be copied back; the stack will not find them by itself.",
        'volumes: ["/home/app/media"]   # anonymous: each new container gets a new one',
        'volumes: ["media:/home/app/media"]',
    ),
    Symptom.EMPTY: (
        "The name is there with 0 bytes, though more were acknowledged: the file was created, its content "
        "was not yet written.",
        "open(path, 'wb').write(body)\nreturn 201",
        "write to a temporary name, fsync the file, rename it, fsync the directory, then return 201",
    ),
    Symptom.TRUNCATED: (
        "The file ends early: what is there is the beginning of what was acknowledged.",
        "for chunk in body: file.write(chunk)   # in place; a kill leaves what was written so far",
        "write to a temporary name and rename it only when it is whole",
    ),
    Symptom.ZEROED: (
        "Part of the file, or all of it, is zeros that nobody wrote: its length reached the disk, its blocks did not.",
        "os.replace(temporary, path)   # renamed before its bytes were flushed",
        "os.fsync(file.fileno()); os.replace(temporary, path); os.fsync(directory)",
    ),
    Symptom.TORN: (
        "Blocks of two versions of the same name are mixed: an overwrite in place was cut off.",
        "file.seek(0); file.write(new_version)",
        "write the new version beside the old one and rename it over",
    ),
    Symptom.CORRUPTED: (
        "The name holds bytes that no operation of the run wrote.",
        "a step at start-up that re-encodes, compresses or rewrites files in place",
        "leave stored files alone; write derived versions to names of their own",
    ),
    Symptom.FOREIGN: (
        "The name holds the bytes of another name: two uploads shared a temporary file, or a path was mixed up.",
        "temporary = '/data/upload.tmp'   # the same for every request",
        "temporary = tempfile.NamedTemporaryFile(dir=directory, delete=False)",
    ),
    Symptom.STALE: (
        "The name shows an older version, though a newer one was acknowledged: a cache or an old copy answers.",
        "proxy_cache_valid 200 10m;   # and nothing purges it when a file is replaced",
        "let the proxy revalidate (ETag), or give each version a URL of its own",
    ),
    Symptom.RESURRECTED: (
        "A name is back that was deleted, renamed away, or made after the backup that was restored.",
        "tar -xzf backup.tar.gz -C /data   # over what is already there",
        "restore into an empty directory and swap it in",
    ),
    Symptom.UNEXPECTED: (
        "A name appeared that was not there when the stack became ready and that nobody wrote. Names that belong "
        "there go into `expect.ignore`.",
        "cp -r /defaults/. /data/   # at every start",
        "[ -e /data/.initialised ] || { cp -r /defaults/. /data/; touch /data/.initialised; }",
    ),
    Symptom.METADATA: (
        "The bytes are right; mode, owner or extended attributes are not what they were before the event, a symbolic "
        "link leads elsewhere or has become a file, two names of one file have become two files, or a directory has "
        "not the mode that the scenario promises.",
        "cp -r /backup/. /data   # in the restore; or `chown -R root:root /data` in the entrypoint",
        "cp -a /backup/. /data, or tar with --xattrs; chown only what the entrypoint itself creates",
    ),
    Symptom.UNSERVED: (
        "The bytes are stored, but the path answers an error or nothing within its time.",
        "location /media/ { root /srv/media; }   # looks in /srv/media/media/",
        "location /media/ { alias /srv/media/; }",
    ),
    Symptom.MASKED: (
        "The path answers 2xx with bytes that are not the file's, so that monitoring by status sees nothing.",
        "try_files $uri /index.html;   # for the files' location too",
        "location /media-files/ { try_files $uri =404; }",
    ),
    Symptom.DIVERGING: (
        "Each path shows something that may be right, but they do not show the same.",
        "two replicas with a volume each",
        "one volume for all replicas, or one place that all of them write to",
    ),
    Symptom.DANGLING: (
        "A database row refers to a file that is not there.",
        "a named volume for the database, none for the uploads",
        "a named volume for each, backed up and restored together",
    ),
    Symptom.UNREFERENCED: (
        "A file is there without the database row that should refer to it.",
        "the file is written, then the transaction is rolled back",
        "write the row and the file so that a clean-up can tell which is complete, and remove the rest",
    ),
}

RULE_TEXTS: dict[str, tuple[str, str, str]] = {
    "tmpfs": (
        "The directory that the service writes to is a tmpfs: memory, empty after each start of the container.",
        'tmpfs: ["/home/app/media"]',
        'volumes: ["media:/home/app/media"]',
    ),
    "mount-elsewhere": (
        "The service has a named volume, but not where it writes: the files are in the writable layer.",
        'volumes: ["media:/media"]   # the application writes to /home/app/media',
        'volumes: ["media:/home/app/media"]',
    ),
    "no-volume": (
        "No mount holds the directory that the service writes to: the files are in the container's writable layer, "
        "which survives a restart and goes with the container.",
        "services:\n  api:\n    image: cms",
        'services:\n  api:\n    image: cms\n    volumes: ["media:/home/app/media"]\nvolumes:\n  media:',
    ),
    "anonymous-volume": (
        "The directory is on a volume without a name, from the Compose file or from the image's VOLUME. `down` and "
        "`up` give the service a new one; the old one stays on the engine and nothing refers to it.",
        'volumes: ["/home/app/media"]',
        'volumes: ["media:/home/app/media"]',
    ),
    "volume-removed": (
        "The engine destroyed the volume in the event, and another one, empty, took its place: the deploy command "
        "removes volumes, or `up -y` makes those anew whose description has changed.",
        "docker compose down -v && docker compose up -d   # in deploy.sh",
        "docker compose up -d --build   # replaces containers, never volumes",
    ),
    "project-volume": (
        "A volume without a `name:` of its own is called PROJECT_KEY, and the project is called as its directory. "
        "Where that is renamed, moved or checked out under another name, Compose makes a new volume; the old one "
        "stays on the engine and nothing refers to it.",
        "volumes:\n  media:",
        "name: shop   # pins the project\nvolumes:\n  media:\n    name: shop-media   # or the volume",
    ),
    "other-volume": (
        "With the edited Compose file the service has another volume where it writes, or none; the old one stays on "
        "the engine with what it holds.",
        'volumes: ["media:/data"]   # before\nvolumes: ["uploads:/data"]   # after the edit',
        "keep the key and the name, or copy: docker run --rm -v old:/from:ro -v new:/to IMAGE cp -a /from/. /to",
    ),
    "incomplete-restore": (
        "After backup and restore nothing is left of whole directories, while others are right.",
        "tar -czf backup.tar.gz admin blog   # a list, and later somebody adds `uploads`",
        "tar -czf backup.tar.gz -C /data .",
    ),
    "restored-apart": (
        "After backup and restore the rows of the database and the files that they refer to are not of one moment.",
        "pg_dump app >app.sql   # nightly; the uploads are copied once a week",
        'pg_dump app >app.sql && tar -C / -cf app.tar data/uploads "$PWD/app.sql"   # one archive, the dump first',
    ),
    "merging-restore": (
        "The restore puts files back without removing those made since the backup.",
        "tar -xzf backup.tar.gz -C /data",
        "tar -xzf backup.tar.gz -C /data.new && swap /data.new and /data",
    ),
    "acknowledged-too-early": (
        "The server answered before the bytes were in the file: killing its process then loses what was acknowledged.",
        "queue.put(body); return 201",
        "write, fsync, rename, fsync the directory; return 201",
    ),
    "never-synced": (
        "The server answered while the file, its new version or its removal was in memory only: a power cut takes it "
        "back. fsync of the file brings its bytes to the disk, fsync of the directory its name.",
        "os.replace(temporary, name); return 201",
        "os.fsync(file); os.replace(temporary, name); os.fsync(directory); return 201",
    ),
    "name-before-bytes": (
        "The name reached the disk, the bytes did not: the journal holds names, and bytes are written out later "
        "unless somebody asks for them. ext4 hides this after a rename over an old file unless it is mounted with "
        "`noauto_da_alloc`.",
        "file.write(body); file.close(); os.replace(temporary, name); os.fsync(directory)",
        "file.write(body); file.flush(); os.fsync(file); os.replace(temporary, name); os.fsync(directory)",
    ),
    "wiped-at-start": (
        "The same volume is mounted before and after, and its files are gone: something that runs at start "
        "removes them.",
        "rm -rf /data/* && cp -r /defaults/. /data/   # in the entrypoint",
        "mkdir -p /data/admin /data/blog   # creates what is absent, touches nothing else",
    ),
    "answers-for-everything": (
        "The server answers 2xx for names that never existed; a lost file looks served.",
        "location / { try_files $uri /index.html; }",
        "location /media-files/ { try_files $uri =404; }",
    ),
    "not-served": (
        "The bytes are stored, other paths serve them, one does not.",
        "proxy_pass http://api:8001;   # the address is looked up once, at start",
        "resolver 127.0.0.11 valid=5s; set $api http://api:8001; proxy_pass $api;",
    ),
}
