"""A site of one file: Django, its media in MEDIA_ROOT, its rows in SQLite."""

import os
import sys

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.management import execute_from_command_line
from django.http import HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="only for tests",
    ROOT_URLCONF=__name__,
    MEDIA_ROOT=os.environ["MEDIA_ROOT"],
    MEDIA_URL="/media/",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_PATH"]}},
)


def health(request):
    return HttpResponse("ok")


def upload(request):
    name = default_storage.save(request.FILES["file"].name, request.FILES["file"])
    return JsonResponse({"url": f"/media/{name}"}, status=201)


urlpatterns = [path("health", health), path("upload", upload)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
