"""pytest-xdist: each worker has a run and a project of its own, on an engine of its own where there are several.

The run of the session has the directory reports/RUN, each worker's part of it reports/RUN/WORKER. When all workers are
done, the controller makes one history of theirs, from which the reports are written, as of any other run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from persistence_tests.pytest_plugin.options import Options
    from persistence_tests.report.result import RunResult

WORKER_INPUT = "persistence"


class Workers:
    """The controller's knowledge of them."""

    def __init__(self, options: Options) -> None:
        from persistence_tests.run.parts import new_identity

        self._options = options
        self._run = new_identity()
        self._leases: dict[str, str] = {}

    def given(self, worker: str) -> dict[str, Any]:
        """What a worker must know: the run, its seed, and its engine (None for the usual one)."""
        return {
            "part_of": [self._run, worker],
            "seed": self._options.seed,
            "engine": self._lease(worker),
        }

    def gone(self, worker: str) -> None:
        self._leases.pop(worker, None)

    def finish(self, error: BaseException | None) -> RunResult | None:
        """Write the reports of all workers' runs together; None where no worker began one."""
        from persistence_tests.run.parts import join

        entries = join(self._options.report_dir, self._run, error)
        if entries is None:
            return None
        from persistence_tests.report.build import build
        from persistence_tests.report.files import append_step_summary, write_reports

        result = build(entries)
        write_reports(result, entries, self._options.report_dir / self._run)
        append_step_summary(result, os.environ.get("GITHUB_STEP_SUMMARY"))
        return result

    def _lease(self, worker: str) -> str | None:
        """The first of the engines that the fewest workers have."""
        if not self._options.engines:
            return None
        taken = list(self._leases.values())
        engine = min(self._options.engines, key=taken.count)
        self._leases[worker] = engine
        return engine
