"""What the set-up says, and how it installs packages of the machine's distribution."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

CHECKOUT = Path(__file__).resolve().parent.parent
CACHE = CHECKOUT / ".cache"
LOGS = CACHE / "logs"


def say(topic: str, what: str) -> None:
    print(f"{topic}: {what}", flush=True)


def fail(topic: str, what: str, *remedy: str) -> NoReturn:
    print(f"{topic}: {what}", *(f"  {line}" for line in remedy), sep="\n", file=sys.stderr, flush=True)
    raise SystemExit(1)


def can_apt_install() -> bool:
    """On Debian, Ubuntu and what is made from them, as root: only there does the set-up install anything."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def apt_install(topic: str, *packages: str) -> None:
    script = 'cd "$1"; . bootstrap/common.sh; shift; apt_install "$@"'
    bash = ["bash", "-euo", "pipefail", "-c", script, "bash", str(CHECKOUT), topic, *packages]
    if subprocess.run(bash, stdin=subprocess.DEVNULL, check=False).returncode:
        fail(topic, f"could not install {' '.join(packages)}", "Install it by hand, then run make again.")
