"""The JSON Schema on stdout: `python -m persistence_tests.report > docs/result.schema.json`."""

from __future__ import annotations

import json
import sys

from persistence_tests.report.result import json_schema

if __name__ == "__main__":
    json.dump(json_schema(), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
