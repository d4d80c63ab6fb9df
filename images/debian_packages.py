"""Adds the Debian packages of an image, and its base image, to the SBOM of its Python packages.

Its arguments are the SBOM (CycloneDX, JSON) and the reference of the base image. Standard input has
a line for each package: name, version, architecture, source package, version of that, with tabs in
between, as dpkg-query prints them. It needs nothing but Python.

Source: CycloneDX 1.6; package URLs of type deb (https://github.com/package-url/purl-spec).
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote


def components(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield a component for each package.

    Raises:
        ValueError: A line has other fields.
    """
    for line in lines:
        name, version, architecture, source, source_version = line.rstrip("\n").split("\t")
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}"
        properties = {"source package": source, "source version": source_version}
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
            "properties": [
                {"name": f"debian:{key}", "value": properties[key]} for key in properties
            ],
        }


def main(path: Path, base: str, lines: Iterable[str]) -> None:
    """Rewrite an SBOM.

    Args:
        path: The SBOM.
        base: Reference of the base image.
        lines: What dpkg-query printed.
    """
    added = sorted(components(lines), key=lambda component: str(component["bom-ref"]))
    if not added:
        sys.exit("error: the image lists no Debian package")
    bill = json.loads(path.read_text(encoding="utf-8"))
    bill["components"] = [*bill.get("components", []), *added]
    properties = bill.setdefault("metadata", {}).setdefault("properties", [])
    properties.append({"name": "mammo:base image", "value": base})
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {len(added)} Debian packages")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.stdin)
