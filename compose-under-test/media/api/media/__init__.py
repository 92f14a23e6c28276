"""The media service: an HTTP API over one directory of files, and the archives of that directory."""
