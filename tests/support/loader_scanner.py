"""A scanner of syntax trees for loaders: calls that could execute foreign code."""

import ast
import builtins
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTS = ("mammo_core", "pipelines", "components", "scripts", "manifests", "images", "benchmarks")
OURS = ("mammo_core", "pipelines", "components")

#: Every use of these modules counts,
MODULES = {
    "_pickle", "apache_beam.Pipeline", "apache_beam.internal", "asteval", "cffi", "cloudpickle",
    "code", "codeop", "copyreg", "ctypes", "dill", "h5py", "hickle", "imp", "importlib", "joblib",
    "jsonpickle", "klepto", "mako", "marshal", "numexpr", "numpy.ctypeslib", "onnx", "onnxruntime",
    "pickle", "pickletools", "pkg_resources", "pkgutil", "pty", "runpy", "shelve", "simpleeval",
    "skops", "subprocess", "tf2onnx", "torch", "xmlrpc", "zipimport",
}  # fmt: skip
#: except these.
HARMLESS = {
    "importlib.metadata.version", "importlib.metadata.PackageNotFoundError",
    "importlib.util.find_spec", "importlib.resources", "importlib.resources.files",
    "subprocess.CalledProcessError", "subprocess.CompletedProcess", "subprocess.DEVNULL",
    "subprocess.PIPE", "subprocess.STDOUT", "subprocess.SubprocessError",
    "subprocess.TimeoutExpired",
}  # fmt: skip
BUILTINS = {"__import__", "compile", "eval", "exec"}
#: Functions and classes of any module or object.
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
#: Functions of `os` that start programs, by prefix.
PROCESSES = ("os.exec", "os.popen", "os.posix_spawn", "os.spawn", "os.system", "os.startfile")
#: `load` and `loads` of these modules only read data.
PLAIN = ("json.", "tomllib.")
#: Arguments that determine whether a loader is safe.
DECISIVE = {
    "Loader", "allow_pickle", "autoescape", "safe_mode", "shell", "trust_remote_code",
    "weights_only", "custom_objects",
}  # fmt: skip
#: Names that are also harmless attributes: only a call counts.
CALLED = {"query", "eval", "load", "loads", "recv", "extract", "Pool", "compile"}


class _Scanner(ast.NodeVisitor):
    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.scopes = ["module"]
        self.loaders: Counter[tuple[str, str]] = Counter()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.names[alias.asname or alias.name.split(".")[0]] = (
                alias.name if alias.asname else alias.name.split(".")[0]
            )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            name = f"{node.module}.{alias.name}" if node.module else alias.name
            self.names[alias.asname or alias.name] = name
            # A star import may bring any name.
            if alias.name == "*" and _is_loader(name.removesuffix("*") + "load", called=True):
                self._count(name)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_scope(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_scope(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_scope(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self._dotted_name(node.func)
        # Whatever takes `allow_pickle` can load pickles, under any name.
        takes_pickles = any(keyword.arg == "allow_pickle" for keyword in node.keywords)
        if takes_pickles or (name and _is_loader(name, called=True)):
            self._count(name or "?", *_arguments(node, name))
            self._visit_base(node.func)
        else:
            self.visit(node.func)
        for argument in (*node.args, *node.keywords):
            self.visit(argument)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = self._dotted_name(node)
        if name and _is_loader(name, called=False):
            self._count(name)
        self._visit_base(node)

    def visit_Name(self, node: ast.Name) -> None:
        name = self._dotted_name(node)
        if name and _is_loader(name, called=False):
            self._count(name)

    def _visit_scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.scopes.append(node.name)
        self.generic_visit(node)
        self.scopes.pop()

    def _visit_base(self, node: ast.expr) -> None:
        """Visit the object of an attribute, unless it is a name."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            self.visit(node)

    def _dotted_name(self, node: ast.expr) -> str:
        words: list[str] = []
        while isinstance(node, ast.Attribute):
            words.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            imported = self.names.get(node.id)
            if imported is None and not words and node.id not in BUILTINS:
                return ""  # a name of this file
            # A variable with the name of a module that is not imported.
            words.append(imported or ("?" if node.id in MODULES else node.id))
        else:
            words.append("?")
        return ".".join(reversed(words))

    def _count(self, name: str, *arguments: str) -> None:
        text = f"{name}({', '.join(arguments)})" if arguments else name
        self.loaders[self.scopes[-1], text] += 1


def _is_loader(name: str, *, called: bool) -> bool:
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
    arguments = [
        f"{keyword.arg or '**'}={ast.unparse(keyword.value)}"
        for keyword in node.keywords
        if keyword.arg is None or keyword.arg in DECISIVE
    ]
    if name == "yaml.load" and len(node.args) > 1:
        arguments.insert(0, ast.unparse(node.args[1]))
    return arguments


def scan(source: str) -> Counter[tuple[str, str]]:
    """Return (function, loader) → number of uses; the loader includes decisive arguments."""
    scanner = _Scanner()
    tree = ast.parse(source)
    # Names of all imports first: those inside functions count for the whole file.
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            scanner.visit_Import(node)
        elif isinstance(node, ast.ImportFrom):
            scanner.visit_ImportFrom(node)
    scanner.loaders.clear()
    scanner.visit(tree)
    return scanner.loaders


def python_files() -> list[Path]:
    """Return our Python files: by suffix, or by their first line."""
    files = []
    for root in ROOTS:
        for path in sorted((REPOSITORY / root).rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            if path.suffix == ".py" or (not path.suffix and _is_python(path)):
                files.append(path)
    return files


def _is_python(path: Path) -> bool:
    text = path.read_bytes()
    if text.startswith(b"#!"):
        return b"python" in text.split(b"\n", 1)[0]
    return text.startswith(b'"""')


def occurrences() -> dict[tuple[str, str, str], int]:
    """Return (file, function, loader) → number of uses, of all our files."""
    return {
        (str(path.relative_to(REPOSITORY)), function, loader): count
        for path in python_files()
        for (function, loader), count in scan(path.read_text()).items()
    }
