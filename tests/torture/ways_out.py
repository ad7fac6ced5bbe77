"""A walk through source code that finds every way out to the disk."""

from __future__ import annotations

import ast
from collections.abc import Iterator

# What may write without faultdx.files, and why.
EXCEPTIONS = {
    "files.py": "the way out itself",
    "journal.py": "grows by whole entries, each under its digest, below a name that files sweeps",
    "sink.py": "opens the temporary file that files.replacing named, for HDF5",
    "database.py": "SQLite writes the history, with a journal of its own",
    "transfer.py": "a download grows under a temporary name that the same command continues",
    "cli/outputs.py": "the CSV grows under the temporary name of files.replacing",
    "benchmark/runner.py": "a lock file, which holds nothing; the scratch file of what a process says",
    "benchmark/sources.py": "a lock file, which holds nothing",
    "leftovers.py": "a scratch folder for libraries, below TMPDIR",
    "soleness.py": "a lock file, which holds nothing",
    "answers.py": "a scratch folder for a model that came over the network, below TMPDIR",
    "report/pdf.py": "a scratch folder for what prints, below TMPDIR",
    "mapping/serving.py": "a setting of the kernel, in /proc",
    "mapping/processes.py": "pipes to its workers",
    "records/child.py": "/dev/null and pipes",
    "cli/console.py": "/dev/null",
    "dataset.py": "HDF5 into a Sink",
    "simulation/writing.py": "HDF5 into memory",
}
_MODES = set("wax+")
_CALLS = {
    *("write_text", "write_bytes", "touch", "tofile", "savetxt", "savez", "savez_compressed", "memmap", "symlink_to"),
    *("to_csv", "to_parquet", "to_json", "to_hdf", "save_file", "save_model", "hardlink_to", "mkstemp", "mkdtemp"),
    *("NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory", "copyfile", "copytree", "copy2", "rmtree"),
}
_OF_MODULE = {
    "os": {"rename", "replace", "renames", "truncate", "link", "symlink", "mkfifo"},
    "np": {"save"},
    "torch": {"save"},
    "sqlite3": {"connect"},
    "shutil": {"move", "copy"},
}
_INTO_MEMORY = {"to_csv", "to_json", "to_parquet"}  # ours return text: faultdx.report, faultdx.portable


def _mode(call: ast.Call, position: int) -> str:
    for word in call.keywords:
        if word.arg == "mode" and isinstance(word.value, ast.Constant):
            return str(word.value.value)
    at = call.args[position : position + 1]
    return str(at[0].value) if at and isinstance(at[0], ast.Constant) else ""


def ways_out(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and call of whatever opens, makes, renames or writes a file."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        owner = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else ""
        if owner == "os" and name == "open":
            flags = {n.attr for argument in node.args[1:] for n in ast.walk(argument) if isinstance(n, ast.Attribute)}
            if flags & {"O_WRONLY", "O_RDWR", "O_CREAT"}:
                yield node.lineno, "os.open"
        elif name == "open" and set(_mode(node, 1 if isinstance(called, ast.Name) else 0)) & _MODES:
            yield node.lineno, "open"
        elif name == "File" and owner == "h5py" and set(_mode(node, 1)) & _MODES:
            yield node.lineno, "h5py.File"
        elif name == "rename" and owner != "os" and isinstance(called, ast.Attribute) and len(node.args) == 1:
            yield node.lineno, "Path.rename"
        elif name in _OF_MODULE.get(owner, ()):
            yield node.lineno, f"{owner}.{name}"
        elif name in _CALLS and not (name in _INTO_MEMORY and isinstance(called, ast.Name)):
            yield node.lineno, name
        elif name in ("savefig", "imsave") and not (node.args and isinstance(node.args[0], ast.Name)):
            yield node.lineno, name  # a picture goes into a buffer, which has a name here
