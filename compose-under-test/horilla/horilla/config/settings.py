"""The site's settings. What an operator decides comes from the environment; docker-compose.production.yaml lists it."""

from pathlib import Path
from typing import Any

from config import environment

BASE_DIR = Path(__file__).parents[1]

SECRET_KEY = environment.required("SECRET_KEY")
ALLOWED_HOSTS = environment.listed("ALLOWED_HOSTS", "localhost,127.0.0.1")
CSRF_TRUSTED_ORIGINS = environment.listed("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    # Before Django's own applications, because it takes the place of `collectstatic`.
    "base",
    "employee",
    "uploads",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "base.middleware.ContentSecurityPolicy",
    "uploads.middleware.BodyLimit",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    # Before the check of the CSRF token, which reads the whole upload.
    "uploads.middleware.UploadRate",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "base.middleware.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "companies"
LOGOUT_REDIRECT_URL = "login"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "base.context.own_company",
            ]
        },
    }
]

# --- database -------------------------------------------------------------------------------------------

THREADS = 4  # of one gunicorn worker, see start-app.sh

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "db",
        "NAME": "horilla",
        "USER": "horilla",
        "PASSWORD": environment.required("POSTGRES_PASSWORD"),
        # A connection that a restart of the database broke is noticed when it leaves the pool.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "pool": {"min_size": 1, "max_size": THREADS + 1, "timeout": 5},
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- files ----------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_URL = "/media/"
MEDIA_ROOT = BASE_DIR / "media"
FILE_UPLOAD_PERMISSIONS = 0o644
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o755

ON_DISK = environment.choice("MEDIA_STORAGE", "disk", "disk", "s3") == "disk"
if ON_DISK:
    MEDIA_BACKEND: dict[str, Any] = {"BACKEND": "uploads.storage.DurableStorage"}
else:
    from botocore.config import Config  # a second of loading, for those who have a bucket

    MEDIA_BACKEND = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": environment.required("AWS_STORAGE_BUCKET_NAME"),
            "endpoint_url": environment.text("AWS_S3_ENDPOINT_URL") or None,
            "region_name": environment.text("AWS_S3_REGION_NAME") or None,
            "access_key": environment.required("AWS_ACCESS_KEY_ID"),
            "secret_key": environment.required("AWS_SECRET_ACCESS_KEY"),
            "file_overwrite": False,
            # A bucket that is away must not hold up every page until the client has given up.
            "client_config": Config(
                signature_version="s3v4",
                connect_timeout=3,
                read_timeout=10,
                retries={"total_max_attempts": 2},
            ),
        },
    }
STORAGES = {
    "default": MEDIA_BACKEND,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
# How long an answer to "is the file there?" holds. The disk is asked each time, a bucket is further away.
EXISTENCE_SECONDS = 0 if ON_DISK else 30

UPLOAD_MAX_BYTES = environment.number("UPLOAD_MAX_BYTES", 5 << 20)
DOCUMENT_MAX_BYTES = environment.number("DOCUMENT_MAX_BYTES", 20 << 20)
UPLOAD_RATE = environment.rate("UPLOAD_RATE", "600/m")
CLAMD_ADDRESS = environment.address("CLAMD_ADDRESS")
DOCUMENT_LINK_SECONDS = environment.number("DOCUMENT_LINK_SECONDS", 3600)

# --- mail -----------------------------------------------------------------------------------------------

EMAIL_HOST = environment.text("EMAIL_HOST")
EMAIL_PORT = environment.number("EMAIL_PORT", 587)
EMAIL_HOST_USER = environment.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = environment.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = environment.truth("EMAIL_USE_TLS", "yes")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = environment.text("EMAIL_FROM", "horilla@localhost")

# --- security -------------------------------------------------------------------------------------------

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS = [
    "security.W008",  # nginx redirects to HTTPS; port 8000 is published for the machine itself only
    "security.W021",  # whether a domain enters the browsers' preload list is its owner's decision
]

# --- the rest -------------------------------------------------------------------------------------------

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"django": {"handlers": ["console"], "level": "WARNING", "propagate": False}},
}
