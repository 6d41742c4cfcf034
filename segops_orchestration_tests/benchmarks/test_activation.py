"""The benchmark of the connectors stays alive: it runs for a second and says what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ACTIVATION = Path(__file__).parents[2] / "benchmarks" / "activation.py"


def test_a_connector_stands_beside_its_platforms_limit(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, str(ACTIVATION), "--seconds", "1", "--only", "talon_one", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rate, too_many = json.loads(out.read_text())["figures"]
    assert rate["baseline_value"] == 10
    assert rate["value"] > 0
    assert "0 violations" in rate["note"]
    assert too_many["value"] == 0
