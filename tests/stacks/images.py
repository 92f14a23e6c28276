"""The images that Compose built for a project."""

from __future__ import annotations

from docker import DockerClient


def remove_images(client: DockerClient, project: str) -> None:
    """One after the other: `--rmi` takes them all at once, and Docker 20.10 fails where they share a layer.

    By their tags: another project's, built from the same files, are the same images.
    """
    for image in client.api.images(filters={"reference": f"{project}-*"}):
        for tag in image["RepoTags"]:
            if tag.startswith(f"{project}-"):
                client.images.remove(tag)
