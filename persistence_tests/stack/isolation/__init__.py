"""From the user's resolved configuration to an override under which the stack touches nothing of the user's own.

Pure. A name that differs between two resolutions under two project names follows the project, and needs no change;
one that stays is explicit, and moves under the run's prefix.
"""

from persistence_tests.stack.isolation.anonymous import with_anonymous_volumes
from persistence_tests.stack.isolation.assembly import isolate
from persistence_tests.stack.isolation.mounts import DOCKER_SOCKETS
from persistence_tests.stack.isolation.plan import Bind, Isolation, escaped, inside_project, unescaped

__all__ = [
    "DOCKER_SOCKETS", "Bind", "Isolation", "escaped", "inside_project", "isolate", "unescaped",
    "with_anonymous_volumes",
]  # fmt: skip
