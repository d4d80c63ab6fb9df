"""Rewrites the generated parts of docs/: `make reference`."""

from pathlib import Path

from mammo_core.cli import create_app
from mammo_core.cli.reference import COMMANDS, command_reference
from mammo_core.reference import RECIPE_KEYS, recipe_reference, replace_generated
from pipelines.platform import ATTEMPTS, STEPS, secrets_of

STEP_RESOURCES = "step resources"
_DOCS = Path(__file__).parent.parent / "docs"
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
    }
    return {
        _DOCS / page: replace_generated((_DOCS / page).read_text(encoding="utf-8"), *part)
        for page, part in parts.items()
    }


def main() -> None:
    """Rewrite the generated parts of docs/."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
