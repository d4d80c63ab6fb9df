"""The users of SeaweedFS, as its configuration file names them.

`make reference` writes `manifests/overlays/seaweedfs/s3.json` from the roles.

Source: SeaweedFS 4.53, weed/s3api/auth_credentials.go: a policy in the language of Amazon S3 is a
`document`, and `${NAME}` in a key stands for a variable of the server's environment.
"""

import json
from typing import Any

from pipelines.roles import ROLES, policy_of


def identities_file() -> str:
    """Return the users of SeaweedFS: root and one for each role, with the policy of the role.

    Their keys are variables of the server's environment, which come from the Secrets.
    """
    root: dict[str, Any] = {
        "name": "root",
        "credentials": [
            {"accessKey": "${SEAWEEDFS_ROOT_USER}", "secretKey": "${SEAWEEDFS_ROOT_PASSWORD}"}
        ],
        "actions": ["Admin"],
    }
    users = [
        {
            "name": f"mammo-{role}",
            "credentials": [
                {
                    "accessKey": f"${{{role.upper()}_MAMMO_S3_ACCESS_KEY}}",
                    "secretKey": f"${{{role.upper()}_MAMMO_S3_SECRET_KEY}}",
                }
            ],
            "policyNames": [f"mammo-{role}"],
        }
        for role in ROLES
    ]
    policies = [{"name": f"mammo-{role}", "document": policy_of(role)} for role in ROLES]
    return json.dumps({"identities": [root, *users], "policies": policies}, indent=2) + "\n"
