"""Files that lie: seeded changes of bytes, of JSON, of a prepared file, of an ONNX network, of what a name leads to."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEAD = 512  # the first bytes of a file, where most of its structure is: cut at each of them
DEEP = "[" * 10_000 + "]" * 10_000
# Values as they may stand in a JSON text; json.dumps could write few of them.
ODD = (
    *(
        "-1",
        "0",
        "1",
        "2147483648",
        "9223372036854775808",
        "-9223372036854775808",
        "1e308",
        "1e400",
        "-1e400",
        "5e-324",
    ),
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "true",
        "null",
        '""',
        '"x"',
        "[]",
        "{}",
        "[null]",
        '{"a": 1}',
        "0.5",
        '"\\u202e"',
    ),
    *(
        '"\\ud800"',
        '"a\\nb"',
        "9" * 5000,
        '"' + "x" * 100_000 + '"',
        "[" + "0," * 100_000 + "0]",
        DEEP,
        "[[1, 2], [3]]",
    ),
)

OPERATIONS = (
    *("Conv", "Gemm", "Reshape", "NonZero", "Tile", "Expand", "Identity", "Nope", "ConvTranspose", "MaxPool", "Pad"),
    *("Resize", "Cast", "RandomNormal"),
)


def bytes_of(data: bytes, rng: random.Random, *, number: int) -> tuple[str, bytes]:
    """Return the name of a change, and the changed bytes. The first `HEAD` numbers cut at each byte of the head."""
    if number < HEAD:
        return "cut", data[:number]
    size = len(data)
    # Half of the places are where the structure is, most of which lies at the two ends.
    near = rng.choice((size, size, 4096, 65_536))
    at = rng.randrange(min(near, size))
    at = size - 1 - at if rng.random() < 0.3 else at
    length = min(rng.choice((1, 4, 8, 64, 512, 4096, 65_536)), size - at)
    spoilt = bytearray(data)
    how = rng.choice(("cut", "flip 1", "flip 2", "flip 8", "zeros", "ones", "doubled", "gone", "number", "swapped"))
    if how == "cut":
        return how, data[:at]
    if how.startswith("flip"):
        for _ in range(int(how[5:])):
            place = at if rng.random() < 0.5 else rng.randrange(size)
            spoilt[place] ^= 1 << rng.randrange(8)
            at = rng.randrange(size)
    elif how in ("zeros", "ones"):
        spoilt[at : at + length] = (b"\0" if how == "zeros" else b"\xff") * length
    elif how == "doubled":
        spoilt[at:at] = data[at : at + length]
    elif how == "gone":
        del spoilt[at : at + length]
    elif how == "number":
        width = rng.choice((1, 2, 4, 8))
        value = rng.choice(
            (0, 1, (1 << (8 * width - 1)) - 1, 1 << (8 * width - 1), (1 << 8 * width) - 1, 1 << 7 * width)
        )
        spoilt[at : at + width] = value.to_bytes(width, "little")
    else:
        other = rng.randrange(size)
        spoilt[at : at + length] = data[other : other + length]
    return how, bytes(spoilt)


def json_of(text: str, rng: random.Random) -> tuple[str, str]:
    """Return the name of a change, and the JSON text with one value odd, missing, twice, or under another name."""
    value = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any, depth: int) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.extend([(node, key)] * (4 if depth == 0 else 1))
            walk(node[key], depth + 1)

    walk(value, 0)
    node, key = rng.choice(places)
    how = rng.choice(("odd", "odd", "odd", "missing", "twice", "renamed", "other kind"))
    if how == "missing":
        del node[key]
    elif how == "renamed" and isinstance(node, dict):
        node[f"{key}x"] = node.pop(key)
    elif how == "twice":
        entry = f"{json.dumps(rng.choice(sorted(value)))}: {rng.choice(ODD)}"
        return how, "{" + entry + ", " + json.dumps(value)[1:]
    elif how == "other kind":
        node[key] = {str: 7, dict: [], list: "x", bool: 3, int: "7", float: "0.1"}.get(type(node[key]), {"x": None})
    else:
        how = "odd"
        node[key] = "@here@"
        return how, json.dumps(value).replace('"@here@"', rng.choice(ODD))
    return how, json.dumps(value)


def sealed(text: str) -> str:
    """Return a model.json whose digest of itself is right again, where it can be worked out."""
    try:
        info = json.loads(text)
        info.pop("content_sha256", None)
        body = json.dumps(info, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return json.dumps(info | {"content_sha256": hashlib.sha256(body.encode()).hexdigest()})
    except (ValueError, RecursionError, AttributeError, TypeError):
        return re.sub(r',\s*"content_sha256": "[0-9a-f]*"', "", text)


def another_kind(path: Path, rng: random.Random, outside: Path) -> str:
    """Put something that is no such file in the place of `path`; return its name."""
    data = path.read_bytes()
    path.unlink()
    kinds: dict[str, Callable[[], object]] = {
        "FIFO": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link to a device": lambda: path.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/dev/tty", "/dev/null"))),
        "link to a FIFO": lambda: (os.mkfifo(path.with_suffix(".pipe")), path.symlink_to(path.with_suffix(".pipe"))),
        "link to /etc/passwd": lambda: path.symlink_to("/etc/passwd"),
        "link to itself": lambda: path.symlink_to(path),
        "link to nothing": lambda: path.symlink_to("nowhere"),
        "link to the same": lambda: (outside.write_bytes(data), path.symlink_to(outside)),
        "absent": lambda: None,
        "sparse": lambda: _sparse(path),
    }
    how = rng.choice(sorted(kinds))
    kinds[how]()
    return how


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


def prepared_of(path: Path, rng: random.Random) -> str:
    """Change a prepared file as a liar does, who works the digests out again; return what was changed."""
    import h5py
    import numpy as np

    columns = ("label", "record", "start", "split", "snr_db", "noise")
    numbers = (-1, 0, 1, 2**31, 2**62, -(2**63), 127, -128)
    with h5py.File(path, "a") as file:
        how = rng.choice(("column", "attribute", "no attribute", "table", "link", "dataset", "samples", "filter"))
        if how == "column":
            name = rng.choice(columns)
            values = file[name][:].astype("f8")
            values[rng.randrange(len(values))] = rng.choice((*numbers, np.nan, np.inf))
            del file[name]
            kind = rng.choice(("f4", "f8", "i8", "i1", "S3", "c8"))
            with np.errstate(invalid="ignore", over="ignore"):
                file.create_dataset(name, data=np.nan_to_num(values, nan=9e9, posinf=1e30).astype(kind))
        elif how == "attribute":
            name = rng.choice(sorted(file.attrs))
            plain = (-1, 2.5, np.inf, np.nan, "", "x", "[1]", '{"normalize": 3}', "{}", 2**63 - 1, DEEP[:20_000])
            odd = ([1, 2], np.array([], "f4"), ["a"] * 200, h5py.Empty("f4"), np.bytes_(b"\xff"), b"\xff\xfe")
            file.attrs[name] = rng.choice((*plain, *odd))
        elif how == "no attribute":
            del file.attrs[rng.choice(sorted(file.attrs))]
        elif how == "table":
            name = rng.choice(sorted(file["records"]))
            del file["records"][name]
            values = rng.choice((None, [1, 2], "x", np.array([np.nan]), 3.0))
            if values is not None:
                file["records"][name] = values
        elif how == "link":
            name = rng.choice(("segments", *columns, "records", "records/path"))
            del file[name]
            target = rng.choice(("/etc/passwd", "other.h5", "/dev/zero"))
            file[name] = rng.choice(
                (h5py.ExternalLink(target, "/"), h5py.SoftLink("/" + name), h5py.SoftLink("/label"))
            )
        elif how == "filter":
            data = file["segments"][:]
            del file["segments"]
            options = rng.choice(
                ({"compression": "gzip"}, {"compression": "lzf"}, {"scaleoffset": 3}, {"shuffle": True}, {})
            )
            file.create_dataset("segments", data=data, **options)
        elif how == "dataset":
            name = rng.choice(("segments", *columns))
            del file[name]
            _odd_dataset(h5py, file, name, rng)
        else:
            at = rng.randrange(len(file["segments"]))
            file["segments"][at] = rng.choice((np.nan, np.inf, 0.0, 1e38))
        try:
            _resign(file)
        except Exception:  # a file for which no digest can be worked out is a mutant, too
            how += ", no digest"
    return how


def _odd_dataset(h5py: Any, file: Any, name: str, rng: random.Random) -> None:
    size = rng.choice((0, 1, 2**20, 2**31, 2**40, 2**62))
    how = rng.randrange(4)
    if how == 0:
        file.create_dataset(
            name, (size, 1, 1024) if name == "segments" and size < 2**50 else (size,), "f4", chunks=True
        )
    elif how == 1:
        layout = h5py.VirtualLayout((240,), "f4")
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", (240,))
        file.create_virtual_dataset(name, layout)
    elif how == 2:
        file.create_dataset(name, (240,), "f4", external=[("/etc/passwd", 0, 960)])
    else:
        file.create_group(name)


def _resign(file: Any) -> None:
    import numpy as np

    from faultdx.surveying import NUMBER_COLUMNS, digest_text

    digest = hashlib.sha256(file["segments"][:].tobytes() if file["segments"].size < 2**24 else b"")
    for name, kind in {
        "label": "i8",
        "record": "i8",
        "start": "i8",
        "split": "i1",
        "snr_db": "f4",
        "noise": "i1",
    }.items():
        digest.update(np.asarray(file[name][:]).astype(kind).tobytes() if file[name].size < 2**24 else b"")
    file.attrs["data_digest"] = digest.hexdigest()
    file.attrs["digest"] = hashlib.sha256(digest_text(file, NUMBER_COLUMNS).encode("ascii")).hexdigest()


def network_of(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Return the name of a change, and the network with something in it that no network of faultdx has, or absurd."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(data)
    graph = model.graph
    nodes = [n for n in graph.node if n.attribute]
    ints = (0, -1, 2**31, 2**62, -(2**63), 3, 1 << 20)
    how = rng.choice(("attribute", "operation", "tensor", "constant", "weights", "outside", "loop", "domain", "wires",
                      "ports", "function", "no node", "huge", "sparse", "steps"))  # fmt: skip
    weights = rng.choice(graph.initializer)
    if how == "attribute":
        attribute = rng.choice(rng.choice(nodes).attribute)
        if attribute.ints:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(ints)
        else:
            attribute.i, attribute.f = rng.choice(ints), rng.choice((float("nan"), float("inf"), 1e38))
    elif how == "operation":
        rng.choice(graph.node).op_type = rng.choice(OPERATIONS)
    elif how == "tensor":
        weights.dims[:] = rng.choice(([-1], [2**31, 2**31], [2**62], [0], [1] * 70, [], [*weights.dims, 2]))
    elif how == "constant":
        shapes = [i for i in graph.initializer if i.data_type == TensorProto.INT64]
        chosen = rng.choice(shapes)
        values = numpy_helper.to_array(chosen).copy().ravel()
        if values.size:
            values[rng.randrange(values.size)] = rng.choice(ints)
        chosen.raw_data = values.tobytes()
    elif how == "weights":
        floats = [i for i in graph.initializer if i.data_type == TensorProto.FLOAT]
        chosen = rng.choice(floats)
        values = numpy_helper.to_array(chosen).copy()
        values.flat[rng.randrange(values.size)] = rng.choice((np.nan, np.inf, -np.inf, 3e38))
        chosen.raw_data = values.tobytes()
    elif how == "outside":
        weights.data_location = TensorProto.EXTERNAL
        weights.raw_data = b""
        for key, value in {"location": rng.choice(("/etc/passwd", "../x", "model.json")), "length": "16"}.items():
            weights.external_data.add(key=key, value=value)
    elif how == "loop":
        body = helper.make_graph([helper.make_node("Identity", ["c"], ["d"])], "b",
                                 [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("c", 9, [])],
                                 [helper.make_tensor_value_info("d", 9, [])])  # fmt: skip
        graph.initializer.append(helper.make_tensor("forever", 9, [], [True]))
        graph.node.append(helper.make_node(rng.choice(("Loop", "Scan", "If")), ["", "forever"], [], body=body))
    elif how == "domain":
        rng.choice(graph.node).domain = rng.choice(("com.microsoft", "evil", "ai.onnx.ml"))
        model.opset_import.add(domain="evil", version=1)
    elif how == "wires":
        a, b = rng.choice(graph.node), rng.choice(graph.node)
        a.input[0] = rng.choice((b.output[0], "", "nowhere", a.output[0]))
    elif how == "ports":
        port = rng.choice((graph.input[0], *graph.output))
        dims = port.type.tensor_type.shape.dim
        dims[rng.randrange(len(dims))].dim_value = rng.choice((0, 1, 7, 2**40))
    elif how == "function":
        model.functions.add(name="f", domain="")
    elif how == "no node":
        del graph.node[rng.randrange(len(graph.node))]
    elif how == "huge":
        size = rng.choice((2**28, 2**31, 2**36, 2**45))
        graph.initializer.append(helper.make_tensor("vast_size", TensorProto.INT64, [1], [size]))
        graph.node.append(helper.make_node("ConstantOfShape", ["vast_size"], ["vast"]))
        graph.node.append(helper.make_node("ReduceMean", ["vast"], ["vast_mean"], keepdims=0))
        graph.output.append(helper.make_tensor_value_info("vast_mean", TensorProto.FLOAT, []))
    elif how == "sparse":
        graph.sparse_initializer.add()
    else:
        model.training_info.add()
    return how, model.SerializeToString()
