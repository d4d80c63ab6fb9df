"""Checkpoints that must be refused, made byte by byte."""

import io
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mammo_core.models.checkpoints import pickles

FILES = Path(__file__).parent / "files"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else pickle.dumps(value, 2)[2:-1]


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def glob(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def storage(key: str = "0", kind: str = "FloatStorage", count: int = 4) -> bytes:
    parts = text("storage") + glob("torch", kind) + text(key) + text("cpu") + number(count)
    return b"(" + parts + b"tQ"


def tensor(
    store: bytes, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
) -> bytes:
    arguments = store + number(offset) + numbers(shape) + numbers(strides) + b"\x89}"
    return glob("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def state(value: bytes) -> bytes:
    """A pickle of {"weight": value}."""
    return b"\x80\x02}" + text("weight") + value + b"s."


GOOD = state(tensor(storage(), (2, 2), (2, 1)))


def archive(
    data: bytes,
    storages: dict[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
    **others: bytes,
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        zipped.writestr("archive/data.pkl", data)
        for name, content in others.items():
            zipped.writestr(f"archive/{name}", content)
        for key, content in ({"0": bytes(16)} if storages is None else storages).items():
            zipped.writestr(f"archive/data/{key}", content)
    return file.getvalue()


def legacy(
    data: bytes, keys: Any = ("0",), tail: bytes = struct.pack("<q", 4) + bytes(16)
) -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    head = (0x1950A86A20F9469CFC6C, 1001, system)
    return (
        b"".join(pickle.dumps(part, 2) for part in head) + data + pickle.dumps(list(keys), 2) + tail
    )


def _calls() -> Iterator[tuple[str, bytes, str]]:
    """Pickles that would run something, and what the message names."""
    for module, name, argument in (
        ("os", "system", "touch planted"),
        ("posix", "system", "touch planted"),
        ("subprocess", "Popen", "touch planted"),
        ("builtins", "eval", "open('planted', 'w')"),
        ("builtins", "exec", "open('planted', 'w')"),
        ("builtins", "open", "planted"),
        ("builtins", "getattr", "x"),
        ("builtins", "__import__", "os"),
        ("__builtin__", "set", "x"),
        ("importlib", "import_module", "os"),
        ("pickle", "loads", "x"),
        ("torch", "load", "x"),
        ("torch.hub", "load", "x"),
        ("torch.jit", "load", "x"),
        ("torch.nn.modules.linear", "Linear", "x"),
        ("torch.storage", "_load_from_bytes", "x"),
        ("torch._utils", "_rebuild_tensor_v3", "x"),
        ("numpy.core.multiarray", "_reconstruct", "x"),
        ("numpy", "dtype", "f4"),
        ("collections", "defaultdict", "x"),
        ("pathlib", "PosixPath", "x"),
        ("shutil", "rmtree", "/nothing"),
        ("os\x00", "system", "x"),
        ("torch", "FloatStorage.__init__.__globals__", "x"),
    ):
        call = glob(module, name) + b"(" + text(argument) + b"tR"
        yield f"call of {module}.{name}", b"\x80\x02" + call + b".", f"{module}.{name}"
    stack = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R."
    yield "call by STACK_GLOBAL", stack, "os.system"
    yield "call of a storage", b"\x80\x02" + glob("torch", "FloatStorage") + b")R.", "FloatStorage"
    yield "call of a string", b"\x80\x02" + text("os.system") + b")R.", "a call of str"
    for name, code in (
        ("OBJ", b"(" + glob("torch", "Size") + b"o."),
        ("INST", b"(ios\nsystem\n."),
        ("NEWOBJ", glob("torch", "Size") + b")\x81."),
        ("NEWOBJ_EX", glob("torch", "Size") + b")}\x92."),
        ("PERSID", b"P0\n."),
        ("EXT1", b"\x82\x01."),
        ("EXT4", b"\x84\x01\x00\x00\x00."),
        ("NEXT_BUFFER", b"\x97."),
        ("READONLY_BUFFER", b"N\x98."),
        ("BYTEARRAY8", b"\x96" + struct.pack("<Q", 1) + b"x."),
        ("BINBYTES", b"B" + struct.pack("<I", 1) + b"x."),
        ("LONG4", b"\x8b" + struct.pack("<i", 1) + b"\x01."),
        ("UNICODE", b"Vx\n."),
        ("INT", b"I1\n."),
        ("DUP", b"N2."),
        ("POP", b"N0N."),
        ("DICT", b"(d."),
        ("LIST", b"(l."),
        ("FROZENSET", b"(\x91."),
    ):
        yield f"instruction {name}", b"\x80\x02" + code, f"the pickle instruction {name}"
    build = b"\x80\x02}}" + text("__class__") + b"N" + b"sb."
    yield "state of a dictionary", build, "a state of a dictionary"
    yield "state of a list", b"\x80\x02]}b.", "items for list"


def _shapes() -> Iterator[tuple[str, bytes, str]]:
    """Pickles of tensors that are not within their storage."""
    for name, value in (
        ("huge strides", tensor(storage(), (2, 2), (2**40, 1))),
        ("more strides than numbers of 64 bits", tensor(storage(), (2, 2), (2**80, 1))),
        ("a huge shape", tensor(storage(), (2**40, 2**40), (1, 1))),
        ("a shape repeated by strides of 0", tensor(storage(), (2**30,), (0,))),
        ("a negative side", tensor(storage(), (-1, 2), (1, 1))),
        ("a negative stride", tensor(storage(), (2, 2), (-1, 1))),
        ("a negative offset", tensor(storage(), (2,), (1,), offset=-1)),
        ("an offset beyond the end", tensor(storage(), (2,), (1,), offset=3)),
        ("more sides than strides", tensor(storage(), (2, 2), (1,))),
        ("a hundred sides", tensor(storage(), (1,) * 100, (1,) * 100)),
        ("a tensor of no storage", tensor(b"N", (2,), (1,))),
    ):
        yield name, state(value), "a tensor"
    yield "an unknown storage", state(tensor(storage(kind="QInt8Storage"), (1,), (1,))), "QInt8"
    yield "a negative storage", state(tensor(storage(count=-1), (0,), (1,))), "a storage without"
    reference = b"(" + text("module") + glob("torch", "Size") + b"NNNtQ"
    yield "a reference to a module", state(reference), "a reference that is no storage"


def _damaged() -> Iterator[tuple[str, bytes, str]]:
    yield "a list within itself", b"\x80\x02]q\x00h\x00a.", "a container that holds itself"
    cycle = b"\x80\x02}q\x00" + text("a") + b"]q\x01(h\x00h\x01es."
    yield "a dictionary within itself", cycle, "a container that holds itself"
    yield "an empty pickle", b"", "a damaged pickle"
    yield "a pickle without an end", GOOD[:-1], "a damaged pickle"
    yield "half a pickle", GOOD[: len(GOOD) // 2], "a damaged pickle"
    yield "a group without a start", b"\x80\x02Nt.", "a damaged pickle"
    yield "a group without an end", b"\x80\x02(N.", "a damaged pickle"
    yield "an item of nothing", b"\x80\x02Na.", "a damaged pickle"
    yield "an unknown value", b"\x80\x02h\x05.", "a damaged pickle"
    yield "an unknown instruction", b"\x80\x02\xff.", "a damaged pickle"
    yield "a string longer than the file", b"\x80\x04\x8d" + struct.pack("<Q", 2**62), "damaged"
    yield "a key that is a list", b"\x80\x02}]Ns.", "a key that is list"
    yield "a key that is a tensor", b"\x80\x02}" + tensor(storage(), (1,), (1,)) + b"Ns.", "a key"


def hostile() -> Iterator[tuple[str, bytes, str]]:
    """Yield name, bytes, and what the message must name, of each file."""
    for name, data, named in (*_calls(), *_shapes(), *_damaged()):
        yield name, archive(data), named
        yield f"{name}, legacy", legacy(data), named
    yield "a short storage", archive(GOOD, {"0": bytes(15)}), "15 bytes instead of 16"
    yield "a long storage", archive(GOOD, {"0": bytes(17)}), "17 bytes instead of 16"
    yield "no storage", archive(GOOD, {}), "not in the archive"
    outside = state(tensor(storage(key="../data.pkl"), (1,), (1,)))
    yield "a storage outside its folder", archive(outside), "not in the archive"
    yield (
        "a compressed bomb",
        archive(GOOD, {"0": bytes(2**24)}, zipfile.ZIP_DEFLATED),
        "compressed",
    )
    yield "a program", archive(GOOD, **{"code/__torch__.py": b"x"}), "a TorchScript program"
    yield "other order of bytes", archive(GOOD, byteorder=b"big"), "big-endian"
    yield "two pickles", _two_pickles(), "2 files data.pkl"
    yield "no pickle", _no_pickle(), "0 files data.pkl"
    yield "a damaged storage", _flipped(), "a damaged archive"
    yield "half an archive", archive(GOOD)[:-30], "a damaged archive"
    yield "legacy storage beyond the end", legacy(GOOD, tail=struct.pack("<q", 2**40)), "beyond the"
    yield "legacy negative storage", legacy(GOOD, tail=struct.pack("<q", -1)), "beyond the end"
    yield "legacy storage twice", legacy(GOOD, ("0", "0"), legacy_tail() * 2), "beyond the end"
    yield "legacy bytes after the end", legacy(GOOD, tail=legacy_tail() + b"x"), "1 bytes after"
    yield "legacy without the storage", legacy(GOOD, (), b""), "not in the file"
    yield "a pickle of others", pickle.dumps({"weight": [1.0]}, 2), "torch.save has not written"
    yield "a text", b"no weights at all, just a text", "neither a file"
    yield "nothing", b"", "neither a file"
    header = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}'
    safe = struct.pack("<Q", len(header)) + header + bytes(4)
    yield "safetensors of another size", safe, "a damaged safetensors file"
    yield (
        "safetensors with a long header",
        struct.pack("<Q", 2**60) + b"{}",
        "a damaged safetensors",
    )
    yield "safetensors cut off", (FILES / "kinds.safetensors").read_bytes()[:-8], "damaged safe"


def legacy_tail() -> bytes:
    return struct.pack("<q", 4) + bytes(16)


def many_opcodes() -> bytes:
    """A pickle of more instructions than are read."""
    return b"\x80\x02(" + b"N" * (pickles.MAXIMUM_OPCODES + 1) + b"t."


def nested_references(depth: int) -> bytes:
    """Lists of two references to the list before: 2**depth values in a few bytes."""
    code = b"\x80\x02(]q\x00"
    for level in range(1, depth):
        code += b"](h" + bytes([level - 1]) + b"h" + bytes([level - 1]) + b"eq" + bytes([level])
    return code + b"t."


def _two_pickles() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a/data.pkl", GOOD)
        zipped.writestr("b/data.pkl", GOOD)
    return file.getvalue()


def _no_pickle() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a/other.pkl", GOOD)
    return file.getvalue()


def _flipped() -> bytes:
    data = archive(GOOD, {"0": b"\x11" * 16})
    return data.replace(b"\x11" * 16, b"\x11" * 15 + b"\x12")
