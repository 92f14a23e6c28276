"""What nginx configurations and Dockerfiles tell `init`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from persistence_tests.init.dockerfile import read_dockerfile
from persistence_tests.init.nginx import Forwarded, Served, parse, read_nginx
from persistence_tests.init.wellknown import known_directory, known_image, known_package

SITE = "/etc/nginx/conf.d/site.conf"


def answers(text: str, **included: str) -> list[Served | Forwarded]:
    return read_nginx({SITE: text, **{f"/etc/nginx/{name}": other for name, other in included.items()}})


def test_an_alias_and_a_root_lead_to_directories() -> None:
    text = """
    server {
        listen 8080;              # { not a block }
        root "/srv/site";
        location /media/ { alias /srv/media/; }
        location ^~ /files { root /srv/kept; }
        location /api/ { proxy_pass http://app:8000/; }
        location ~ \\.php$ { fastcgi_pass app:9000; }
        location = /robots.txt { root /srv/robots; }
        location /closed/ { internal; alias /srv/closed/; }
    }
    """
    assert answers(text) == [
        Served((8080,), "/media", "/srv/media"),
        Served((8080,), "/files", "/srv/kept/files"),
        Forwarded((8080,), "/api", "http://app:8000/"),
        Served((8080,), "", "/srv/site"),
    ]


def test_a_proxied_site_has_no_files_of_its_own() -> None:
    text = "server { listen [::]:80; root /srv; location / { proxy_pass http://$app; } }"
    assert answers(text) == [Forwarded((80,), "", "http://$app")]


def test_what_only_redirects_answers_nothing_and_tls_is_known() -> None:
    text = """
    http {
      server { listen 80; return 301 https://$host$request_uri; location /media/ { alias /m/; } }
      server { listen 443 ssl; location /media/ { alias /m/; } }
    }
    """
    assert answers(text) == [Served((443,), "/media", "/m", encrypted=True)]


def test_included_files_and_upstreams_count() -> None:
    text = "upstream back { server app:80 weight=2; server b:80; } server { include snippets/*.conf; }"
    included = {"snippets/m.conf": "location /m/ { alias /m; } location / { proxy_pass http://back; }"}
    assert answers(text, **included) == [Served((80,), "/m", "/m"), Forwarded((80,), "", "app:80 b:80")]


@given(st.text(st.sampled_from("{};#\"'\\$ \nserver location /a alias root listen 80 proxy_pass")))
def test_no_text_is_too_strange_for_nginx(text: str) -> None:
    read_nginx({SITE: text})
    assert all(directive.words for directive in parse(text))


def test_a_dockerfile_tells_of_its_last_stage() -> None:
    built = read_dockerfile(
        """
# syntax=docker/dockerfile:1
ARG VERSION=3.11
FROM node:20 AS assets
RUN npm run build
FROM python:${VERSION}-slim AS app
ENV MEDIA_ROOT=/srv/media \\
    # a comment between
    DEBUG=0
WORKDIR /srv
WORKDIR app
RUN apt-get update && apt-get install -y --no-install-recommends nginx-light curl \\
    && rm -rf /var/lib/apt/lists/*
COPY --from=assets /out /static
COPY --chown=www nginx.conf $MEDIA_ROOT/
COPY a b conf.d/
VOLUME ["/srv/media", "/cache"]
USER www:www
ENTRYPOINT ["run"]
CMD ["serve", "--port", "80"]
FROM app AS tests
USER root
""",
        {"VERSION": "3.12"},
        "app",
    )
    assert (built.base, built.user, built.workdir) == ("python:3.12-slim", "www", "/srv/app")
    assert built.environment == {"MEDIA_ROOT": "/srv/media", "DEBUG": "0"}
    assert built.volumes == ["/srv/media", "/cache"]
    assert built.packages == ["nginx-light", "curl"]
    assert built.copies == [
        ("nginx.conf", "/srv/media/nginx.conf"),
        ("a", "/srv/app/conf.d/a"),
        ("b", "/srv/app/conf.d/b"),
    ]
    assert built.command == ["run", "serve", "--port", "80"]


def test_a_stage_continues_another_one() -> None:
    text = "FROM debian AS base\nENV A=1\nUSER a\nFROM base\nENV B=2\n"
    built = read_dockerfile(text, {})
    assert (built.base, built.user, built.environment) == ("debian", "a", {"A": "1", "B": "2"})


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["FROM", "ENV", "COPY", "RUN apt-get install", "VOLUME", "CMD", "USER", "WORKDIR", ""]
            ),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        ).map(" ".join)
    ).map("\n".join),
    st.sampled_from(["", "app"]),
)
def test_no_text_is_too_strange_for_a_dockerfile(text: str, target: str) -> None:
    built = read_dockerfile(text, {}, target)
    assert all(path.startswith("/") for _, path in built.copies)


def test_images_and_packages_are_known_by_name() -> None:
    names = {
        "postgres:16-alpine": "PostgreSQL",
        "docker.io/bitnami/postgresql@sha256:0": "PostgreSQL",
        "ghcr.io/x/mariadb": "MariaDB",
        "localhost:5000/redis:7": "Redis",
        "example/app": None,
    }
    found = {name: known_image(name) for name in names}
    assert {name: known and known.title for name, known in found.items()} == names
    by_package = known_package(["curl", "nginx-light", "postgresql-15"])
    assert by_package and by_package.title == "PostgreSQL"
    by_directory = known_directory("/var/lib/mysql")
    assert by_directory and by_directory.title == "MariaDB"
    assert known_directory("/data") is None
