"""The licenses of what the container images contain: no GPL, no AGPL.

Debian's packages of the base image are listed in the SBOM and are not judged here.
"""

import importlib.metadata
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LISTS = Path(__file__).parent / "licenses"
#: The environments that are shipped; `test` is not.
SHIPPED = ("data", "train", "train-gpu", "tfio")
ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "FTL", "IJG", "ISC", "MIT",
    "MIT-0", "MIT-CMU", "MPL-2.0", "OpenSSL", "PSF-2.0", "Unlicense", "Zlib", "libpng-2.0",
    "libtiff", "Apache-2.0 WITH LLVM-exception", "LGPL-2.1-or-later",
    "GPL-3.0-or-later WITH GCC-exception-3.1", "LicenseRef-NVIDIA-Proprietary",
    "LicenseRef-socketxx",
}  # fmt: skip
#: What packages write instead of an SPDX identifier.
SPELLINGS = {
    "apache": "Apache-2.0", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0",
    "apache license": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0", "apache software license": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause", "3-clause bsd license": "BSD-3-Clause",
    "isc license": "ISC", "isc license (iscl)": "ISC", "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "the unlicense (unlicense)": "Unlicense",
    "python software foundation license": "PSF-2.0",
}  # fmt: skip


def entries(name):
    """The lines of a list as (key, license)."""
    lines = (LISTS / name).read_text().splitlines()
    return [tuple(line.split("\t")[:2]) for line in lines if line and line[0] != "#"]


@cache
def shipped():
    """The names of all packages in the pins of what is shipped."""
    names = set()
    for environment in SHIPPED:
        text = (ROOT / "requirements" / f"{environment}.txt").read_text()
        names |= {normalized(name) for name in re.findall(r"(?m)^([\w.-]+)(?:\[.*\])?==", text)}
    return names


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def installed():
    packages = {
        normalized(item.metadata["Name"]): item for item in importlib.metadata.distributions()
    }
    return {name: item for name, item in packages.items() if name in shipped()}


def license_of(metadata):
    """The license of a package: its expression, or else its classifiers, or else its text."""
    expression = metadata.get("License-Expression")
    if expression:
        return expression
    text = (metadata.get("License") or "").strip()
    classifiers = [
        value.rpartition("::")[2].strip()
        for value in metadata.get_all("Classifier") or []
        if value.startswith("License ::")
    ]
    # Several classifiers do not say whether all of them count: then every one must be allowed.
    names = [text] if text and not classifiers else classifiers
    return " AND ".join(SPELLINGS.get(name.lower(), name) for name in names)


def is_allowed(expression):
    """Whether an SPDX expression can be met without a license that is not allowed."""
    words = [word for word in re.split(r"([()]|\b(?:AND|OR)\b)", expression) if word.strip()]
    words = [word.strip() for word in words]

    def either():
        value = both()
        while words and words[0] == "OR":
            words.pop(0)
            other = both()
            value = value or other
        return value

    def both():
        value = one()
        while words and words[0] == "AND":
            words.pop(0)
            other = one()
            value = value and other
        return value

    def one():
        word = words.pop(0)
        if word != "(":
            return word in ALLOWED
        value = either()
        assert words.pop(0) == ")", expression
        return value

    value = either()
    return value and not words


def test_every_package_has_an_allowed_license():
    known = dict(entries("packages.txt"))
    listed = {
        name: known.get(name) or license_of(installed()[name].metadata)
        if name in installed()
        else known.get(name, "")
        for name in sorted(shipped())
    }
    for name, expression in listed.items():
        print(f"{name}\t{expression}")
    assert {name: text for name, text in listed.items() if not text} == {}
    assert {name: text for name, text in listed.items() if not is_allowed(text)} == {}


def libraries():
    """Package → names of its shared libraries that are not extension modules of Python."""
    libraries = {}
    for name, package in installed().items():
        names = {Path(file).name for file in package.files or [] if ".so" in Path(file).suffixes}
        # TensorFlow's are all its own, built from one repository.
        if name != "tensorflow-cpu":
            libraries[name] = sorted(
                name for name in names if not re.search(r"\.(cpython-[^.]*|abi3)\.so$", name)
            )
    return libraries


def test_every_native_library_has_an_allowed_license():
    known = [(re.compile(pattern), text) for pattern, text in entries("native_libraries.txt")]
    unknown, listed = [], {}
    for package, files in libraries().items():
        for file in files:
            # libavcodec-c4204469.so.62.28.101: auditwheel adds a hash to the name.
            stem = re.sub(r"(-[0-9a-f]{6,8})*(-r0-[0-9a-f]{8}\.[\d.]+)?$", "", file.split(".so")[0])
            stem = stem.removesuffix("-").rstrip("0123456789.") if stem.endswith("-") else stem
            match = [text for pattern, text in known if pattern.fullmatch(stem)]
            listed[f"{package}: {stem}"] = match[0] if match else ""
            if not match:
                unknown.append(f"{package}: {file}")
    for name, text in sorted(listed.items()):
        print(f"{name}\t{text}")
    assert unknown == []
    assert {name: text for name, text in listed.items() if not is_allowed(text)} == {}
    # The list has no line for a library that is not there.
    stems = {name.partition(": ")[2] for name in listed}
    assert [p.pattern for p, _ in known if not any(map(p.fullmatch, stems))] == []


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("GPL-3.0-or-later", False),
        ("MIT AND AGPL-3.0-only", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("GPL-2.0-only OR MIT", True),
        ("(MIT OR Apache-2.0) AND GPL-2.0-only", False),
        ("MIT AND (GPL-2.0-only OR BSD-3-Clause) AND ISC", True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("Apache-2.0", True),
        ("UNKNOWN", False),
    ],
)
def test_gpl_is_refused(expression, allowed):
    assert is_allowed(expression) is allowed


def test_the_codecs_under_the_gpl_are_not_shipped():
    assert not {"pylibjpeg-libjpeg", "imagecodecs-gpl", "pyjpegls-gpl", "moto"} & shipped()
