"""Archives of database and media together; what backup.sh, migrate-media.sh and status.sh run in a container.

The standard library only: this must work while nothing else of the application does.
"""
