"""Documents that are designed to exhaust or to end the process that parses them."""

import gzip
import io
import json
import pickle
import plistlib
import zipfile

import numpy as np
import pytest

from mammo_core.documents import (
    MAXIMUM_DEPTH,
    MAXIMUM_PLIST_BYTES,
    DocumentError,
    inflate,
    parse_all_yaml,
    parse_json,
    parse_npz,
    parse_plist,
    parse_yaml,
    read_bounded,
)

#: Each level stands for ten of the one below: 10^9 values in 400 bytes (CVE-2003-1564).
LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)
#: The same by merge keys, which PyYAML expands while it reads.
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 10)
)
YAML = {
    "aliases of aliases": LAUGHS,
    "merges of merges": MERGES,
    "a list that contains itself": "a: &a [*a]",
    "a mapping that contains itself": "a: &a {b: *a}",
    "depth": "[" * 1_500,
    "depth of indentation": "\n".join(" " * n + "a:" for n in range(700)),
    "size": "a: " + "x" * 2**20,
    "a number of 5,000 digits": "a: " + "9" * 5_000,
    "an impossible date": "a: 2001-13-45",
    "a number that is none": "a: !!int x",
    "a time that is none": "a: !!timestamp x",
    "a list as a key": "? [a]\n: b",
    "a tag": "a: !!python/name:os.system ''",
    "two documents": "a: 1\n---\nb: 2",
    "an open quote": 'a: "b',
    "a null byte": "a: \0",
}


@pytest.mark.parametrize("kind", YAML)
def test_hostile_yaml_is_refused(kind):
    with pytest.raises(DocumentError) as caught:
        parse_yaml(YAML[kind])
    assert caught.value.received
    assert len(caught.value.received) <= 300


def test_aliases_of_moderate_size_are_read():
    assert parse_yaml("a: &a {b: [1, 2]}\nc: *a\nd: {<<: *a, e: 1}") == {
        "a": {"b": [1, 2]},
        "c": {"b": [1, 2]},
        "d": {"b": [1, 2], "e": 1},
    }
    assert parse_yaml("") is None
    assert parse_all_yaml("a: 1\n---\nb: 2") == [{"a": 1}, {"b": 2}]


JSON = {
    "depth": b"[" * 100_000,
    "depth within the parser's limit": b"[" * 500 + b"]" * 500,
    "depth of objects": b'{"a":' * 500 + b"1" + b"}" * 500,
    "values": b"[" + b"1," * 5_000_000 + b"1]",
    "a number of 5,000 digits": b"9" * 5_000,
    "an open string": b'"abc',
    "no UTF-8": b'"\xff"',
    "nothing": b"",
}


@pytest.mark.parametrize("kind", JSON)
def test_hostile_json_is_refused(kind):
    with pytest.raises(DocumentError):
        parse_json(JSON[kind])


def test_json_is_limited_by_size_and_values():
    text = json.dumps({"a": list(range(100)), "b": {"c": [1.5, None, True, "x, y"]}})
    assert parse_json(text.encode(), max_values=200) == parse_json(text) == json.loads(text)
    with pytest.raises(DocumentError, match="more than 90 values"):
        parse_json(text, max_values=90)
    with pytest.raises(DocumentError, match="more than 100"):
        parse_json(text, max_bytes=100)
    deepest = "[" * MAXIMUM_DEPTH + "]" * MAXIMUM_DEPTH
    assert parse_json(deepest)


HEAD = b'<?xml version="1.0"?>'
PLISTS = {
    "an external entity": HEAD
    + b'<!DOCTYPE plist [<!ENTITY x SYSTEM "file:///etc/passwd">]><plist><string>&x;</string></plist>',
    "entities of entities": HEAD
    + b'<!DOCTYPE plist [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    + b"<plist><string>&b;</string></plist>",
    "an entity in UTF-16": (
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE plist [<!ENTITY a "ha">]>'
        "<plist><string>&a;</string></plist>"
    ).encode("utf-16"),
    "depth": b"<plist>" + b"<array>" * 50_000 + b"</array>" * 50_000 + b"</plist>",
    "size": b"<plist><string>" + b"x" * MAXIMUM_PLIST_BYTES + b"</string></plist>",
    "a number of 5,000 digits": b"<plist><integer>" + b"9" * 5_000 + b"</integer></plist>",
    "an impossible date": b"<plist><date>x</date></plist>",
    "wrong base 64": b"<plist><data>===x</data></plist>",
    "a key without a value": b"<plist><dict><key>a</key></dict></plist>",
    "a binary list": plistlib.dumps({"a": 1}, fmt=plistlib.FMT_BINARY),
    "an open element": b"<plist><array>",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", PLISTS)
def test_hostile_property_lists_are_refused(kind):
    with pytest.raises(DocumentError):
        parse_plist(PLISTS[kind])


def test_a_property_list_is_read():
    value = {"Images": [{"ROIs": [{"Name": "Mass", "Point_px": ["(1.5, 2)"]}]}]}
    assert parse_plist(plistlib.dumps(value)) == value


def npz(**parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def array(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def header(shape, kind="<f4"):
    """The start of an .npy file that claims a shape, without data."""
    text = repr({"descr": kind, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


NPZ = {
    "a bomb": npz(a=array(np.zeros(50_000_000, np.uint8))),
    "a shape of petabytes": npz(a=header((2**25, 2**25))),
    "a shape beyond integers": npz(a=header((2**40, 2**40))),
    "a negative shape": npz(a=header((-1, 8))),
    "pickled objects": npz(a=header((1,), "|O") + pickle.dumps([1])),
    "another header": npz(a=b"\x93NUMPY\x01\x00\x10\x00__import__('os')"),
    "no archive": b"PK\x03\x04",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", NPZ)
def test_hostile_arrays_are_refused(kind):
    with pytest.raises(DocumentError):
        parse_npz(NPZ[kind], max_bytes=2**20)


def test_arrays_are_read(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.arange(5), b=np.eye(2))
    for source in (path, path.read_bytes()):
        arrays = parse_npz(source, max_bytes=2**20)
        assert arrays["a"].tolist() == [0, 1, 2, 3, 4]
        assert arrays["b"].shape == (2, 2)


def test_gzip_inflates_up_to_a_limit():
    assert inflate(gzip.compress(b"abc"), 3) == b"abc"
    with pytest.raises(DocumentError, match="more than 2 bytes"):
        inflate(gzip.compress(b"abc"), 2)
    bomb = gzip.compress(gzip.compress(bytes(2**25)))
    with pytest.raises(DocumentError, match="inflated"):
        inflate(inflate(bomb, 2**20), 2**20)
    for damaged in (b"", b"abc", gzip.compress(b"abc")[:-5], gzip.compress(b"a")[:-1] + b"x"):
        with pytest.raises(DocumentError):
            inflate(damaged, 2**20) or parse_json(b"")


def test_files_are_read_up_to_a_limit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert read_bounded(path, 3) == b"abc"
    with pytest.raises(DocumentError, match="more than 2 bytes"):
        read_bounded(path, 2)
