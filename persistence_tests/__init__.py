"""Proves that the files of a Docker Compose stack survive what is done to the stack."""

__version__ = "0.1.0"
