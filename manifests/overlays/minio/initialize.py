"""Makes the buckets of a MinIO, a user for each role, and what each user may do.

Run again, it changes nothing that is as it should be. Its one argument is the folder of the
policies; the server and the credentials come from the environment.
"""

import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from minio import Minio, MinioAdmin
from minio.credentials import StaticProvider
from minio.error import MinioAdminException
from urllib3.exceptions import HTTPError

BUCKETS = ("mammo", "mammo-sources", "mammo-scores")
ROLES = ("data", "train", "score", "serve")
_PATIENCE_S = 300


def main(folder: Path) -> None:
    """Make the server match this file and the policies."""
    endpoint = urlsplit(os.environ["MINIO_ENDPOINT"])
    secure = endpoint.scheme == "https"
    root = os.environ["MINIO_ROOT_USER"], os.environ["MINIO_ROOT_PASSWORD"]
    client = Minio(endpoint.netloc, *root, secure=secure)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            present = {bucket.name for bucket in client.list_buckets()}
            break
        except (HTTPError, OSError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"error: MinIO at {endpoint.netloc} does not answer: {error}")
            time.sleep(2)
    for bucket in BUCKETS:
        if bucket not in present:
            client.make_bucket(bucket)
            print(f"made bucket {bucket}")
    admin = MinioAdmin(endpoint=endpoint.netloc, credentials=StaticProvider(*root), secure=secure)
    for role in ROLES:
        policy = f"mammo-{role}"
        user = os.environ[f"{role.upper()}_ACCESS_KEY"]
        admin.policy_add(policy, str(folder / f"{role}.json"))
        admin.user_add(user, os.environ[f"{role.upper()}_SECRET_KEY"])
        try:
            admin.policy_set(policy, user=user)
        except MinioAdminException as error:
            # "already in effect": it was set by an earlier run.
            if "already" not in str(error):
                raise
        statements = len(json.loads((folder / f"{role}.json").read_text())["Statement"])
        print(f"user {user}: policy {policy} of {statements} statements")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
