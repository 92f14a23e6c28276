"""`collectstatic` for a volume that a web server reads meanwhile and that outlives the image.

Django's own leaves a file alone that is younger than its source, as a package's new release may be, and removes hashed
files for a moment before it writes them again. Here everything is collected anew out of sight; then what differs on the
volume takes its place by a rename. What is not collected any more stays: pages of the release before refer to it.
"""

import filecmp
import secrets
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.management.commands import collectstatic
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class Command(collectstatic.Command):
    """Collects static files, and publishes what is new."""

    def handle(self, **options: Any) -> str:
        """Returns how many files are new on the volume."""
        with TemporaryDirectory() as collected:
            self.storage = ManifestStaticFilesStorage(location=collected)
            super().handle(**{**options, "interactive": False, "verbosity": 0})
            published, unchanged = publish(Path(collected), settings.STATIC_ROOT, self.storage.manifest_name)
        return f"{published} static files published in '{settings.STATIC_ROOT}', {unchanged} unchanged."


def publish(collected: Path, root: Path, manifest: str) -> tuple[int, int]:
    """Brings all files of `collected` to `root`, the manifest that names them last; how many were new, and were not."""
    files = [path.relative_to(collected) for path in collected.rglob("*") if path.is_file()]
    differing = [file for file in files if not _same(collected / file, root / file)]
    for file in sorted(differing, key=lambda file: (file.name == manifest, file)):
        if file.name == manifest:
            # The files are on the disk before anything refers to them.
            subprocess.run(["sync", "--file-system", str(root)], check=True)
        _replace(collected / file, root / file)
    return len(differing), len(files) - len(differing)


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def _replace(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".static-{secrets.token_hex(8)}")
    shutil.copyfile(source, temporary)
    temporary.rename(target)
