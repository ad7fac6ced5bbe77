"""Good files that grow: little on the disk, nearly as much in memory as a reader allows itself (24 MiB + 4 x size)."""

from __future__ import annotations

import io
from collections.abc import Iterator

import corpus_hdf5
import matfiles as mat
import numpy as np
from corpus_base import Made, either, good
from corpus_numpy import npz_file, saved
from corpus_tables import wav_file

SAMPLES = 18 << 17  # of 8 bytes: 18 MiB


def heavy(rng: np.random.Generator) -> Iterator[Made]:
    wave = np.tile(np.round(rng.normal(size=1024) * 1000), SAMPLES // 1024)
    yield good("doubles.mat", mat.mat5(mat.packed(mat.numeric("x", wave), level=1)), wave)
    yield good("integers.mat", mat.mat5(mat.packed(mat.numeric("x", wave, stored="i2"), level=1)), wave)
    yield good("struct.mat", mat.mat5(mat.packed(mat.structure("s", {"x": mat.numeric("", wave)}), level=1)), wave)
    yield good("int16.mat", mat.mat5(mat.numeric("x", wave[: SAMPLES // 4].astype("i2"))), wave[: SAMPLES // 4])
    yield good("single.mat", mat.mat4("x", wave[: SAMPLES // 4].astype("f4")), wave[: SAMPLES // 4])
    yield good(
        "big_endian.mat", mat.mat5(mat.numeric("x", wave[: SAMPLES // 4], order=">"), order=">"), wave[: SAMPLES // 4]
    )
    yield good("doubles.npz", npz_file([("x.npy", saved(wave))]), wave)
    yield good("big_endian.npy", saved(wave[: SAMPLES // 4].astype(">f8")), wave[: SAMPLES // 4])
    yield good("fortran.npz", npz_file([("x.npy", saved(np.asfortranarray(wave.reshape(2, -1))))]), wave.reshape(2, -1))
    chunked = corpus_hdf5.written(
        lambda f: f.create_dataset(
            "x", data=wave, chunks=(1 << 17,), compression="gzip", compression_opts=1, shuffle=True
        )
    )
    yield good("chunked.h5", chunked, wave)
    one = corpus_hdf5.matlab(
        lambda f: corpus_hdf5.with_class(
            f, "x", wave[None], compression="gzip", chunks=(1, SAMPLES), compression_opts=1
        )
    )
    yield either("one_chunk.mat", one, wave)
    short = wave[: SAMPLES // 8]
    yield good("24_bit.wav", wav_file(short.astype("<i4")[:, None].view("u1")[:, :3].tobytes(), bits=24), short / 2**23)
    yield good("32_bit.wav", wav_file(short.astype("<i4").tobytes(), bits=32), short / 2**31)
    text = "\n".join(map("%d".__mod__, short.astype(int)[: SAMPLES // 16])) + "\n"
    yield good("column.csv", text.encode(), short[: SAMPLES // 16])
    yield good("utf16.csv", text.encode("utf-16"), short[: SAMPLES // 16])
    yield good("quoted.csv", ('a,"note"\n' + text.replace("\n", ',"x"\n')).encode(), short[: SAMPLES // 16])


def parquet(rng: np.random.Generator) -> Iterator[Made]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return
    out = io.BytesIO()
    wave = np.tile(np.round(rng.normal(size=1024) * 1000), SAMPLES // 1024)
    pq.write_table(pa.table({"x": wave}), out)
    yield either("heavy.parquet", out.getvalue(), wave, needs="pyarrow")
