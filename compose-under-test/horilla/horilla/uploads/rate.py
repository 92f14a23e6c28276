"""How many uploads a user may make in a period, counted in the database for all replicas together."""

import time

from django.db import connection, transaction

# One statement, so that two requests at once are two.
COUNT = """
INSERT INTO uploads_allowance (user_id, period, used) VALUES (%s, %s, 1)
ON CONFLICT (user_id) DO UPDATE SET
  used = CASE WHEN uploads_allowance.period = excluded.period THEN uploads_allowance.used + 1 ELSE 1 END,
  period = excluded.period
RETURNING used
"""


def wait_seconds(user: int, uploads: int, seconds: int) -> int:
    """Counts an upload of `user`; 0 if it is one of `uploads` in this period of `seconds`, else what is left of it."""
    period, elapsed = divmod(int(time.time()), seconds)
    with transaction.atomic(), connection.cursor() as cursor:
        # A count that a power cut loses is no harm; waiting for the disk is.
        cursor.execute("SET LOCAL synchronous_commit TO OFF")
        cursor.execute(COUNT, [user, period])
        (used,) = cursor.fetchone()
    return 0 if used <= uploads else seconds - elapsed
