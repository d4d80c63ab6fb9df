"""Finds what could run code that is not ours: a scanner over the syntax trees of our files."""

import ast
import builtins
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ROOTS = ("mammo_core", "pipelines", "components", "scripts", "manifests", "images", "benchmarks")
OURS = ("mammo_core", "pipelines", "components")

#: Whatever is taken from these modules is listed.
MODULES = {
    "_pickle", "apache_beam.Pipeline", "apache_beam.internal", "asteval", "cffi", "cloudpickle",
    "code", "codeop", "copyreg", "ctypes", "dill", "h5py", "hickle", "imp", "importlib", "joblib",
    "jsonpickle", "klepto", "mako", "marshal", "numexpr", "numpy.ctypeslib", "onnx", "onnxruntime",
    "pickle", "pickletools", "pkg_resources", "pkgutil", "pty", "runpy", "shelve", "simpleeval",
    "skops", "subprocess", "tf2onnx", "torch", "xmlrpc", "zipimport",
}  # fmt: skip
#: Of these only what is said here.
HARMLESS = {
    "importlib.metadata.version", "importlib.metadata.PackageNotFoundError",
    "importlib.util.find_spec", "importlib.resources", "importlib.resources.files",
    "subprocess.CalledProcessError", "subprocess.CompletedProcess", "subprocess.DEVNULL",
    "subprocess.PIPE", "subprocess.STDOUT", "subprocess.SubprocessError",
    "subprocess.TimeoutExpired",
}  # fmt: skip
BUILTINS = {"__import__", "compile", "eval", "exec"}
#: By their last word, whatever they are taken from.
WORDS = {
    "CDLL", "Environment", "FeatureStore", "HDFStore", "Lambda", "Listener", "LoadLibrary",
    "Manager", "NativeEnvironment", "ParquetDataset", "ParquetFile", "Pool", "ProcessPool",
    "ProcessPoolExecutor", "PyDLL", "TFSMLayer", "Template", "Unpickler", "create_subprocess_exec",
    "create_subprocess_shell", "deserialize", "deserialize_keras_object", "enable_load_extension",
    "enable_unsafe_deserialization", "entry_points", "eval", "exec_module", "extract",
    "extractall", "from_config", "from_proto", "from_string", "full_load", "full_load_all",
    "get_context", "import_module", "import_string", "load_all", "load_component_from_file",
    "load_component_from_text", "load_component_from_url", "load_extension", "load_library",
    "load_model", "load_module", "load_op_library", "load_weights", "model_from_config",
    "model_from_json", "model_from_yaml", "numpy_function", "py_func", "py_function", "query",
    "read_feather", "read_hdf", "read_parquet", "read_pickle", "recv",
    "register_keras_serializable", "unpack_archive", "unsafe_load", "unsafe_load_all",
}  # fmt: skip
#: Of the operating system.
PROCESSES = ("os.exec", "os.popen", "os.posix_spawn", "os.spawn", "os.system", "os.startfile")
#: `load` and `loads` of these read data only.
PLAIN = ("json.", "tomllib.")
#: Arguments that decide whether a loader is a safe one.
DECISIVE = {
    "Loader", "allow_pickle", "autoescape", "safe_mode", "shell", "trust_remote_code",
    "weights_only", "custom_objects",
}  # fmt: skip
#: Words that are methods of other things as well: only a call counts, not an attribute.
CALLED = {"query", "eval", "load", "loads", "recv", "extract", "Pool", "compile"}


class _Scanner(ast.NodeVisitor):
    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.where = ["module"]
        self.found: Counter[tuple[str, str]] = Counter()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.names[alias.asname or alias.name.split(".")[0]] = (
                alias.name if alias.asname else alias.name.split(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            name = f"{node.module}.{alias.name}" if node.module else alias.name
            self.names[alias.asname or alias.name] = name
            # What is imported by name may be handed on without a call.
            if alias.name == "*" and _suspicious(name.removesuffix("*") + "load", called=True):
                self._note(name)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._within(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._within(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._within(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self._dotted(node.func)
        if name and _suspicious(name, called=True):
            self._note(name, *_arguments(node, name))
            self._beneath(node.func)
        else:
            self.visit(node.func)
        for part in (*node.args, *node.keywords):
            self.visit(part)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = self._dotted(node)
        if name and _suspicious(name, called=False):
            self._note(name)
        self._beneath(node)

    def visit_Name(self, node: ast.Name) -> None:
        name = self._dotted(node)
        if name and _suspicious(name, called=False):
            self._note(name)

    def _within(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.where.append(node.name)
        self.generic_visit(node)
        self.where.pop()

    def _beneath(self, node: ast.expr) -> None:
        """Visit what an attribute is taken from, unless that is a name."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            self.visit(node)

    def _dotted(self, node: ast.expr) -> str:
        words: list[str] = []
        while isinstance(node, ast.Attribute):
            words.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            known = self.names.get(node.id)
            if known is None and not words and node.id not in BUILTINS:
                return ""  # a name of this file
            words.append(known or node.id)
        else:
            words.append("?")
        return ".".join(reversed(words))

    def _note(self, name: str, *arguments: str) -> None:
        text = f"{name}({', '.join(arguments)})" if arguments else name
        self.found[self.where[-1], text] += 1


def _suspicious(name: str, *, called: bool) -> bool:
    first, last = name.split(".")[0], name.rpartition(".")[2]
    if first in OURS or name in HARMLESS:
        return False
    if name.startswith(PROCESSES) or first == "builtins":
        return True
    if "." not in name and name in BUILTINS:
        return hasattr(builtins, name)
    if any(name == module or name.startswith(f"{module}.") for module in MODULES):
        return True
    if last in CALLED and not called:
        return False
    if last in ("load", "loads"):
        return not name.startswith(PLAIN)
    return last in WORDS


def _arguments(node: ast.Call, name: str) -> list[str]:
    told = [
        f"{keyword.arg or '**'}={ast.unparse(keyword.value)}"
        for keyword in node.keywords
        if keyword.arg is None or keyword.arg in DECISIVE
    ]
    if name == "yaml.load" and len(node.args) > 1:
        told.insert(0, ast.unparse(node.args[1]))
    return told


def scan(source: str) -> Counter[tuple[str, str]]:
    """Return (function, loader) → how often; the loader with the arguments that decide."""
    scanner = _Scanner()
    tree = ast.parse(source)
    # Imports inside functions come after their use in no file; names are taken from all of it.
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            scanner.visit_Import(node)
        elif isinstance(node, ast.ImportFrom):
            scanner.visit_ImportFrom(node)
    scanner.found.clear()
    scanner.visit(tree)
    return scanner.found


def python_files() -> list[Path]:
    """All Python of ours: by name, or by a first line that says so."""
    found = []
    for root in ROOTS:
        for path in sorted((REPOSITORY / root).rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            if path.suffix == ".py" or (not path.suffix and _is_python(path)):
                found.append(path)
    return found


def _is_python(path: Path) -> bool:
    text = path.read_bytes()
    if text.startswith(b"#!"):
        return b"python" in text.split(b"\n", 1)[0]
    return text.startswith(b'"""')


def occurrences() -> dict[tuple[str, str, str], int]:
    """Return (file, function, loader) → how often."""
    return {
        (str(path.relative_to(REPOSITORY)), function, loader): count
        for path in python_files()
        for (function, loader), count in scan(path.read_text()).items()
    }
