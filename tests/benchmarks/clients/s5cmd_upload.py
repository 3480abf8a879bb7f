"""``s5cmd cp``. It hashes every payload with SHA-256 over plain http, which it would not do over TLS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.benchmarks.clients.report import arguments, measured

asked = arguments()
source = Path(asked["source"])
program = Path(sys.executable).with_name("s5cmd")
with measured():
    what = f"{source}/" if source.is_dir() else str(source)
    target = "s3://partner-b-landing/files/"
    subprocess.run([program, "--log", "error", "--endpoint-url", asked["sink"], "cp", what, target], check=True)
