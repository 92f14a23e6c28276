"""Uploaded files: looking at them, keeping them so that they survive a power cut, and handing them out."""
