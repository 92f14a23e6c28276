"""Makes sure that the engine has `debian:bookworm-slim`, the base of every image built here.

Pulled where a registry can be reached. Otherwise made with debootstrap, laid out as the published image is,
plus the certificate authorities that this machine trusts, so that pip and npm work in a build behind a
company's proxy.
"""

import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker import DockerClient
from docker.errors import DockerException, ImageNotFound
from requests.exceptions import RequestException

from bootstrap.console import CACHE, LOGS, apt_install, can_apt_install, fail, say

REPOSITORY, TAG = "debian", "bookworm-slim"
IMAGE = f"{REPOSITORY}:{TAG}"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
PULL_STALL_SECONDS = 15

BUNDLE = Path("etc/ssl/certs/ca-certificates.crt")
HOST_BUNDLES = (
    *filter(None, map(os.environ.get, ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"))),
    f"/{BUNDLE}",
    "/etc/pki/tls/certs/ca-bundle.crt",
)
BUNDLE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)

# As in the published image: no service starts in a build, no documentation, no package caches in a layer.
PUBLISHED_FILES = {
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
    "etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
    "etc/dpkg/dpkg.cfg.d/docker": (
        "path-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n"
        "path-exclude /usr/share/info/*\npath-exclude /usr/share/locale/*\npath-exclude /usr/share/man/*\n"
    ),
    "etc/apt/apt.conf.d/docker-clean": (
        'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\n'
        'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n'
    ),
    "etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
}


def ensure(client: DockerClient) -> None:
    started = time.monotonic()
    try:
        client.images.get(IMAGE)
    except ImageNotFound:
        say("image", f"pulling {IMAGE} …")
        if reason := pull(client):
            say("image", f"{IMAGE} cannot be pulled ({reason})")
            import_from_debootstrap(client)
            how = "imported from debootstrap"
        else:
            how = "pulled"
        say("image", f"{IMAGE} {how} in {time.monotonic() - started:.0f} s")
    else:
        say("image", f"{IMAGE} is there")


def pull(client: DockerClient) -> str | None:
    """The reason why it cannot be pulled, or None. A pull may take its time, but not stand still."""
    progress: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def follow() -> None:
        try:
            for line in client.api.pull(REPOSITORY, TAG, stream=True, decode=True):
                progress.put(line.get("error", ""))
            progress.put(None)
        except (DockerException, RequestException) as error:
            progress.put(str(getattr(error, "explanation", None) or error))

    threading.Thread(target=follow, daemon=True).start()
    while True:
        try:
            error = progress.get(timeout=PULL_STALL_SECONDS)
        except queue.Empty:
            return f"no progress for {PULL_STALL_SECONDS} s"
        if error is None:
            return None
        if error:
            return error


def import_from_debootstrap(client: DockerClient) -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        fail("image", "only root on Linux can make one without a registry", f"docker pull {IMAGE}")
    if not shutil.which("debootstrap"):
        if not can_apt_install():
            fail("image", "debootstrap is not installed", "Install it, then run make again.")
        apt_install("image", "debootstrap", "debian-archive-keyring")
    with debian_root() as root:
        publish_like(root)
        changes = ['CMD ["bash"]', *trust_what_the_host_trusts(root)]
        archive = subprocess.Popen(
            ["tar", "-C", str(root), "--numeric-owner", "-c", "."], stdout=subprocess.PIPE
        )
        client.api.import_image_from_stream(archive.stdout, repository=REPOSITORY, tag=TAG, changes=changes)
        if archive.wait():
            client.images.remove(IMAGE)
            fail("image", "the root directory could not be archived")


@contextmanager
def debian_root() -> Iterator[Path]:
    """A minimal Debian in a directory of the checkout, removed again."""
    say("image", "making a Debian root directory with debootstrap (half a minute) …")
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "debootstrap.log"
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="debootstrap-") as directory:
        root = Path(directory) / "root"
        # In a mount namespace of its own, so that an interrupted one leaves no /proc mounted in there.
        command = ["unshare", "--mount", "debootstrap", "--variant=minbase", "--include=ca-certificates"]
        command += ["bookworm", str(root), MIRROR]
        with log.open("wb") as output:
            made = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
        if made.returncode:
            tail = log.read_text(errors="replace").splitlines()[-20:]
            fail("image", f"debootstrap failed; the end of {log}:", *tail)
        yield root


def publish_like(root: Path) -> None:
    """Makes a debootstrap directory what the published slim image is, in what a build can notice."""
    for pattern in (
        "usr/share/info/*",
        "usr/share/locale/*",
        "usr/share/man/*",
        "usr/share/doc/*/*",
        "var/cache/apt/*",
        "var/lib/apt/lists/*",
        "var/log/*.log",
    ):
        for path in root.glob(pattern):
            if path.name == "copyright":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for name in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
        (root / name).mkdir(parents=True)
    for name, content in PUBLISHED_FILES.items():
        (root / name).write_text(content)
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    (root / "etc/apt/sources.list").write_text(
        f"deb {MIRROR} bookworm main\n"
        f"deb {MIRROR} bookworm-updates main\n"
        f"deb {MIRROR.removesuffix('/debian')}/debian-security bookworm-security main\n"
    )
    for name in ("etc/hostname", "etc/resolv.conf"):  # the engine provides both
        (root / name).unlink(missing_ok=True)


def trust_what_the_host_trusts(root: Path) -> list[str]:
    """Adds the host's certificate authorities; returns the image settings by which pip and npm use them."""
    host_bundle = next((Path(name) for name in HOST_BUNDLES if Path(name).is_file()), None)
    if host_bundle is None:
        return []
    known = set(CERTIFICATE.findall((root / BUNDLE).read_text()))
    added = [text for text in CERTIFICATE.findall(host_bundle.read_text()) if text not in known]
    # There too, so that they are still trusted when a build runs update-ca-certificates.
    for number, certificate in enumerate(added):
        (root / f"usr/local/share/ca-certificates/host-{number}.crt").write_text(certificate)
    with (root / BUNDLE).open("a") as bundle:
        bundle.writelines(added)
    return [f"ENV {' '.join(f'{variable}=/{BUNDLE}' for variable in BUNDLE_VARIABLES)}"]
