"""Images and packages that many stacks use: what they keep, where, and as which user they run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Content(StrEnum):
    """What a store holds, as far as it can be known.

    FILES are whole files that somebody uploaded or published; DATA is an application's own directory, with files of
    its own in it; DATABASE is a server's, in a form of its own; CODE is what the project itself brings.
    """

    FILES = "files"
    DATA = "data"
    DATABASE = "database"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Known:
    """`directories` are where it keeps its data, the first by default; `variable` names another one.

    `under` is the part of it that holds people's files. `user` is who it runs as where its image says nothing.
    `initialises` says that the data directory must be empty when it starts for the first time; `probe` is a shell
    command, run in its container, that succeeds once it has done so.
    """

    title: str
    directories: tuple[str, ...]
    content: Content = Content.DATA
    user: str = ""
    variable: str = ""
    under: str = ""
    initialises: bool = False
    probe: str = ""
    images: tuple[str, ...] = ()
    packages: str = ""
    document_root: str = ""


_PING = "mariadb-admin ping -s -h 127.0.0.1 || mysqladmin ping -s -h 127.0.0.1"

KNOWN = (
    Known(
        "PostgreSQL", ("/var/lib/postgresql/data", "/var/lib/postgresql"), Content.DATABASE, "postgres", "PGDATA",
        initialises=True, probe="pg_isready -q -h 127.0.0.1",
        images=("postgres", "postgis", "timescaledb", "pgvector", "pgautoupgrade"), packages=r"postgresql(-\d+)?",
    ),
    Known(
        "MariaDB", ("/var/lib/mysql",), Content.DATABASE, "mysql", initialises=True, probe=_PING,
        images=("mariadb",), packages=r"mariadb-server|default-mysql-server",
    ),
    Known(
        "MySQL", ("/var/lib/mysql",), Content.DATABASE, "mysql", initialises=True, probe=_PING,
        images=("mysql", "mysql-server", "percona", "percona-server"), packages=r"mysql-server(-[\d.]+)?",
    ),
    Known(
        "Redis", ("/data", "/var/lib/redis"), Content.DATABASE, "redis",
        images=("redis", "redis-stack", "redis-stack-server"), packages="redis-server|redis",
    ),
    Known("Valkey", ("/data",), Content.DATABASE, "valkey", images=("valkey",)),
    Known("MongoDB", ("/data/db",), Content.DATABASE, "mongodb", images=("mongo",), packages="mongodb(-org)?"),
    Known("RabbitMQ", ("/var/lib/rabbitmq",), Content.DATABASE, "rabbitmq", "RABBITMQ_MNESIA_BASE",
          images=("rabbitmq",), packages="rabbitmq-server"),
    Known("Elasticsearch", ("/usr/share/elasticsearch/data",), Content.DATABASE, images=("elasticsearch",)),
    Known("OpenSearch", ("/usr/share/opensearch/data",), Content.DATABASE, images=("opensearch",)),
    Known("InfluxDB", ("/var/lib/influxdb2", "/var/lib/influxdb"), Content.DATABASE, "influxdb",
          images=("influxdb",)),
    Known("ClickHouse", ("/var/lib/clickhouse",), Content.DATABASE, "clickhouse",
          images=("clickhouse-server", "clickhouse")),
    Known("CouchDB", ("/opt/couchdb/data",), Content.DATABASE, "couchdb", images=("couchdb",)),
    Known("Neo4j", ("/data",), Content.DATABASE, "neo4j", images=("neo4j",)),
    Known("MinIO", ("/data",), Content.DATABASE, images=("minio",)),
    Known("Grafana", ("/var/lib/grafana",), images=("grafana", "grafana-oss", "grafana-enterprise")),
    Known("Prometheus", ("/prometheus",), Content.DATABASE, images=("prometheus",)),
    Known("Mosquitto", ("/mosquitto/data",), user="mosquitto", images=("eclipse-mosquitto",)),
    Known("Registry", ("/var/lib/registry",), images=("registry",)),
    Known("Gitea", ("/data",), images=("gitea", "forgejo")),
    Known("Vaultwarden", ("/data",), images=("vaultwarden",)),
    Known("Jenkins", ("/var/jenkins_home",), images=("jenkins",)),
    Known("n8n", ("/home/node/.n8n",), images=("n8n",)),
    Known("Nextcloud", ("/var/www/html",), user="www-data", under="data", images=("nextcloud",)),
    Known("WordPress", ("/var/www/html",), Content.FILES, "www-data", under="wp-content/uploads",
          images=("wordpress",), document_root="/var/www/html"),
    Known("Drupal", ("/var/www/html/sites",), Content.FILES, "www-data", under="default/files",
          images=("drupal",), document_root="/var/www/html"),
    Known("MediaWiki", ("/var/www/html/images",), Content.FILES, "www-data", images=("mediawiki",),
          document_root="/var/www/html"),
    Known("Ghost", ("/var/lib/ghost/content",), user="node", under="images", images=("ghost",)),
    Known("Directus", ("/directus/uploads",), Content.FILES, images=("directus",)),
    Known("Redmine", ("/usr/src/redmine/files",), Content.FILES, "redmine", images=("redmine",)),
    Known("Odoo", ("/var/lib/odoo",), images=("odoo",)),
    Known("Paperless", ("/usr/src/paperless/media",), Content.FILES, images=("paperless-ngx",)),
    Known("Uptime Kuma", ("/app/data",), images=("uptime-kuma",)),
    Known("Home Assistant", ("/config",), images=("home-assistant",)),
    Known("Caddy", ("/data",), images=("caddy",)),
    Known("nginx", (), images=("nginx", "nginx-unprivileged", "openresty"),
          packages="nginx(-light|-full|-extras|-core)?", document_root="/usr/share/nginx/html"),
    Known("Apache", (), images=("httpd",), document_root="/usr/local/apache2/htdocs"),
    Known("Apache", (), packages="apache2", document_root="/var/www/html"),
)  # fmt: skip


def known_image(reference: str) -> Known | None:
    """What is known of an image by its name: "docker.io/library/postgres:16" is PostgreSQL."""
    name = reference.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()
    if name == "postgresql":
        name = "postgres"
    return next((known for known in KNOWN if name in known.images), None)


def known_package(packages: list[str]) -> Known | None:
    """The same by what is installed with the system's package manager; a database before a web server."""
    for known in KNOWN:
        if known.packages and any(re.fullmatch(known.packages, package) for package in packages):
            return known
    return None


def known_directory(target: str) -> Known | None:
    """A database whose usual directory this is, where nothing else tells: not one that is called /data."""
    for known in KNOWN:
        for directory in known.directories:
            usual = known.content is Content.DATABASE and directory.startswith("/var/lib/")
            if usual and (target == directory or target.startswith(directory + "/")):
                return known
    return None
