"""The HR stack with what is off by default: media in a bucket, mail, and a volume that fills."""

import hashlib
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.models.containers import Container
from PIL import Image

from tests.stacks.horilla import ADMIN, Client, HorillaStack, horilla_stack, poll

pytestmark = [pytest.mark.engine, pytest.mark.soak]

NEW_USER = "User.objects.create_user('filler', password='secret of theirs')"
BUCKET = Path(__file__).parents[1] / "stacks/bucket.py"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HorillaStack]:
    with horilla_stack(tmp_path_factory.mktemp("stack") / "horilla") as stack:
        yield stack


@contextmanager
def beside(stack: HorillaStack, command: list[str], **options: Any) -> Iterator[Container]:
    """A container of the application's image in the stack's network, with its environment and its database."""
    environment = dict(line.split("=", 1) for line in stack.container("horilla").attrs["Config"]["Env"])
    container = stack.engine.containers.run(
        f"{stack.project}-horilla", command, detach=True, network=f"{stack.project}_default",
        environment=environment | options.pop("environment", {}),
        volumes={f"{stack.project}_horilla_static": {"bind": "/app/staticfiles"}}, **options,
    )  # fmt: skip
    try:
        yield container
    finally:
        container.remove(force=True)


@contextmanager
def replica(stack: HorillaStack, **options: Any) -> Iterator[Client]:
    """One more replica, with other settings; somebody logged in to it."""
    with beside(
        stack, ["start-app.sh", "--replica"], ports={"8000/tcp": ("127.0.0.1", 0)}, **options
    ) as container:
        client = Client(published(container))
        poll(lambda: _assert_healthy(client.url))()
        yield client.login()


def published(container: Container) -> str:
    """The address of the one port that is published."""
    container.reload()
    (bindings,) = filter(None, container.ports.values())
    return f"http://127.0.0.1:{bindings[0]['HostPort']}"


def letter_in(mail: Container) -> str:
    """What the mail server was told, when it was told all of it."""
    said = mail.logs().decode()
    assert "END MESSAGE" in said
    return said


def _assert_healthy(url: str) -> None:
    assert requests.get(f"{url}/health/", timeout=5).status_code == 200


def image() -> bytes:
    encoded = io.BytesIO()
    Image.frombytes("RGB", (100, 100), os.urandom(30000)).save(encoded, "PNG")
    return encoded.getvalue()


def test_media_in_a_bucket(stack: HorillaStack) -> None:
    place = {
        "MEDIA_STORAGE": "s3", "AWS_STORAGE_BUCKET_NAME": "media", "AWS_S3_REGION_NAME": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
    }  # fmt: skip
    with beside(
        stack, ["python", "-c", BUCKET.read_text(), "9000"], ports={"9000/tcp": ("127.0.0.1", 0)}
    ) as bucket:
        bucket.reload()
        address = bucket.attrs["NetworkSettings"]["Networks"][f"{stack.project}_default"]["IPAddress"]
        place["AWS_S3_ENDPOINT_URL"] = f"http://{address}:9000"
        with replica(stack, environment=place) as client:
            content, before = image(), stack.files()
            kept = client.upload("bucket logo.png", content, "Bucket").json()
            assert kept["sha256"] == hashlib.sha256(content).hexdigest()
            assert kept["url"].startswith(f"http://{address}:9000/media/base/company/icon/bucket_logo.png?")
            assert "Signature=" in kept["url"]
            assert stack.files() == before
            outside = f"{published(bucket)}/media/"
            assert requests.get(outside + kept["icon"], timeout=10).content == content
            assert requests.get(outside + kept["icon_webp"], timeout=10).content[8:12] == b"WEBP"
            page = client.get(f"/companies/{kept['id']}/")
            assert f'src="http://{address}:9000/media/base/company/icon/bucket_logo.png?' in page.text
            assert f"img-src 'self' http://{address}:9000;" in page.headers["content-security-policy"]
            employee = client.post("/employees/", {"first_name": "A", "last_name": "B"}).json()
            paper = client.post(f"/employees/{employee['id']}/documents/", file=("paper.png", content)).json()
            assert client.get(paper["url"], X_Sendfile_Type="X-Accel-Redirect").content == content
            assert client.post(f"/companies/{kept['id']}/delete/").status_code == 204
            for name in (kept["icon"], kept["icon_webp"]):
                assert requests.get(outside + name, timeout=10).status_code == 404
            # A bucket that does not answer is no reason for a page not to.
            other = client.upload("other.png", image(), "Other Bucket").json()
            bucket.kill()
            assert client.upload("away.png", image()).status_code == 503
            assert client.get(f"/companies/{other['id']}/").status_code == 200


def test_a_forgotten_password_is_mended_by_mail(stack: HorillaStack) -> None:
    stack.rows(f"UPDATE auth_user SET email = 'boss@example.com' WHERE username = '{ADMIN[0]}'")
    server = ["python", "-u", "-W", "ignore", "-m", "smtpd", "-n", "-c", "DebuggingServer", "0.0.0.0:2525"]
    with beside(stack, server) as mail:
        mail.reload()
        address = mail.attrs["NetworkSettings"]["Networks"][f"{stack.project}_default"]["IPAddress"]
        settings = {
            "EMAIL_HOST": address, "EMAIL_PORT": "2525", "EMAIL_USE_TLS": "no", "EMAIL_FROM": "hr@example.com"
        }  # fmt: skip
        with replica(stack, environment=settings) as boss:
            somebody = Client(boss.url)
            assert "/password/reset/" in somebody.get("/admin/login/").text
            somebody.get("/password/reset/")
            answer = somebody.post("/password/reset/", {"email": "boss@example.com"}, "text/html")
            assert answer.headers["location"] == "/password/sent/"
            letter = poll(lambda: letter_in(mail))()
            assert "From: hr@example.com" in letter
            link = re.search(r"http://127\.0\.0\.1:\d+(/password/\w+/[\w-]+/)", letter)
            assert link, letter
            form = somebody.get(link[1]).headers["location"]
            somebody.get(form)
            twice = {"new_password1": "entirely-new-4711", "new_password2": "entirely-new-4711"}
            assert somebody.post(form, twice, "text/html").headers["location"] == "/password/done/"
            stack.client().login(password="entirely-new-4711")
    # Without a mail server nothing is offered.
    assert "/password/reset/" not in stack.client().get("/admin/login/").text


def test_a_full_volume_is_507_and_stays_usable(stack: HorillaStack) -> None:
    # Whatever became of the administrator's password meanwhile.
    stack.execute("horilla", f'python manage.py shell -c "{NEW_USER}"')
    with beside(stack, ["start-app.sh", "--replica"], ports={"8000/tcp": ("127.0.0.1", 0)},
                tmpfs={"/app/media": "size=1m,uid=10001,mode=755"}) as full:  # fmt: skip
        client = Client(published(full))
        poll(lambda: _assert_healthy(client.url))()
        client.login("filler", "secret of theirs")
        refused = client.upload("large.png", image().ljust(2 << 20, b"x"))
        assert (refused.status_code, refused.json()) == (507, {"error": "The media volume is full."})
        assert stack.rows("SELECT count(*) FROM base_company WHERE icon LIKE '%/large%'") == [["0"]]
        _, output = full.exec_run(["find", "/app/media", "-type", "f"])
        assert output == b""
        assert client.upload("small.png", image()).status_code == 201
        assert client.get("/health/").status_code == 200
