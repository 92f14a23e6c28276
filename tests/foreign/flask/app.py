"""Takes files and gives them back."""

import os

from flask import Flask, request, send_from_directory
from werkzeug.utils import secure_filename

FOLDER = os.environ["UPLOAD_FOLDER"]

app = Flask(__name__)


@app.get("/healthz")
def healthy() -> str:
    return "ok"


@app.post("/upload")
def upload() -> tuple[dict[str, str], int]:
    file = request.files["file"]
    name = secure_filename(file.filename or "")
    file.save(os.path.join(FOLDER, name))
    return {"name": name}, 201


@app.get("/uploads/<path:name>")
def uploaded(name: str):
    return send_from_directory(FOLDER, name)
