"""Makes the buckets of a MinIO, a user for each role, and what each user may do.

Run again, it changes nothing that is as it should be. Its arguments are the folder of the policies
and that of the credentials, which holds the Secret of each role in a folder of its own; server and
root user come from the environment, and MAMMO_CA_BUNDLE names the CA of a server with TLS.
"""

import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from minio import Minio, MinioAdmin
from minio.commonconfig import ENABLED
from minio.credentials import StaticProvider
from minio.error import MinioAdminException
from minio.versioningconfig import VersioningConfig
from urllib3.exceptions import HTTPError

BUCKETS = ("mammo", "mammo-sources", "mammo-scores", "mammo-events")
# Whoever may only put there overwrites nothing: every version is kept.
VERSIONED = ("mammo-events",)
_PATIENCE_S = 300


def main(policies: Path, credentials: Path) -> None:
    """Make the server match this file, the policies and the Secrets."""
    endpoint = urlsplit(os.environ["MINIO_ENDPOINT"])
    secure = endpoint.scheme == "https"
    root = os.environ["MINIO_ROOT_USER"], os.environ["MINIO_ROOT_PASSWORD"]
    authority = os.environ.get("MAMMO_CA_BUNDLE") or None
    timeout = urllib3.Timeout(connect=5, read=60)
    pool = urllib3.PoolManager(ca_certs=authority, timeout=timeout) if authority else None
    client = Minio(endpoint.netloc, *root, secure=secure, http_client=pool)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            present = {bucket.name for bucket in client.list_buckets()}
            break
        except (HTTPError, OSError) as error:
            # A certificate that does not verify is not a server that starts.
            if time.monotonic() > deadline or "CERTIFICATE_VERIFY_FAILED" in str(error):
                sys.exit(f"error: MinIO at {endpoint.netloc} does not answer: {error}")
            time.sleep(2)
    for bucket in BUCKETS:
        if bucket not in present:
            client.make_bucket(bucket)
            print(f"made bucket {bucket}")
    for bucket in VERSIONED:
        client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    admin = MinioAdmin(
        endpoint=endpoint.netloc,
        credentials=StaticProvider(*root),
        secure=secure,
        http_client=pool,
    )
    for file in sorted(policies.glob("*.json")):
        _make_user(admin, file, credentials / file.stem)


def _make_user(admin: MinioAdmin, file: Path, secret: Path) -> None:
    """Make the user of a role, with the policy in `file` and nothing else."""
    policy = f"mammo-{file.stem}"
    user = (secret / "MAMMO_S3_ACCESS_KEY").read_text().strip()
    admin.policy_add(policy, str(file))
    admin.user_add(user, (secret / "MAMMO_S3_SECRET_KEY").read_text().strip())
    try:
        admin.policy_set(policy, user=user)
    except MinioAdminException as error:
        # "already in effect": it was set by an earlier run.
        if "already" not in str(error):
            raise
    statements = len(json.loads(file.read_text())["Statement"])
    print(f"user {user}: policy {policy} of {statements} statements")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
