"""boto3's ``upload_file`` as it comes, in as many threads as its own transfers have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks.clients.report import arguments, measured

_THREADS = 10

asked = arguments()
source = Path(asked["source"])
with measured():
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        config=Config(
            s3={"payload_signing_enabled": False, "addressing_style": "path"}, max_pool_connections=2 * _THREADS
        ),
    )
    with ThreadPoolExecutor(_THREADS) as pool:
        paths = sorted(source.iterdir()) if source.is_dir() else [source]
        list(pool.map(lambda path: client.upload_file(str(path), "partner-b-landing", f"files/{path.name}"), paths))
