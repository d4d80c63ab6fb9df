"""Rewrites the generated parts of docs/ and the policies of the roles: `make reference`."""

from pathlib import Path

from mammo_core.cli import create_app
from mammo_core.cli.reference import COMMANDS, command_reference
from mammo_core.reference import RECIPE_KEYS, recipe_reference, replace_generated
from pipelines.platform import ATTEMPTS, STEPS, secrets_of
from pipelines.roles import policy_files, role_table
from pipelines.store_users import identities_file

STEP_RESOURCES = "step resources"
STORE_ROLES = "store roles"
_ROOT = Path(__file__).parent.parent
_DOCS = _ROOT / "docs"
#: The policies of the roles in the object store.
POLICIES = _ROOT / "manifests" / "overlays" / "minio" / "policies"
#: The same with their users, as SeaweedFS reads them.
IDENTITIES = _ROOT / "manifests" / "overlays" / "seaweedfs" / "s3.json"
_COLUMNS = ("step", "CPU", "memory", "memory limit", "GPU", "hours", "attempts", "Secrets")


def resource_table() -> str:
    """Return the resources of all steps as a table in Markdown."""
    rows = [
        [
            f"`{name}`",
            platform.cpu,
            platform.memory,
            platform.memory_limit,
            "yes" if platform.gpu else "",
            str(platform.hours),
            str(ATTEMPTS),
            ", ".join(f"`{secret}`" for secret in secrets_of(name)),
        ]
        for name, platform in STEPS.items()
    ]
    header, *lines = [f"| {' | '.join(row)} |" for row in (_COLUMNS, *rows)]
    return "\n".join([header, "|---" * len(_COLUMNS) + "|", *lines])


def pages() -> dict[Path, str]:
    """Return the pages with generated parts, as they should be."""
    parts = {
        "recipes.md": (RECIPE_KEYS, recipe_reference()),
        "cli.md": (COMMANDS, command_reference(create_app())),
        "cluster.md": (STEP_RESOURCES, resource_table()),
        "security.md": (STORE_ROLES, role_table()),
    }
    return {
        _DOCS / page: replace_generated((_DOCS / page).read_text(encoding="utf-8"), *part)
        for page, part in parts.items()
    }


def main() -> None:
    """Rewrite the generated parts of docs/, and the policies of the roles."""
    files = {POLICIES / name: text for name, text in policy_files().items()}
    files[IDENTITIES] = identities_file()
    for path, text in {**pages(), **files}.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
