"""The catalogue: complete, consistent, and known by content; and each trap of the CWRU files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from faultdx.errors import RecordError
from faultdx.records import Declared, Item, cwru, read_item, read_record
from faultdx.records.contents import Variable
from faultdx.records.opening import blob_id


def entry_of(number: int) -> cwru.Entry:
    return next(e for e in cwru.catalogue() if e.number == number)


def test_catalogue_is_complete_and_unique() -> None:
    entries = cwru.catalogue()
    assert len(entries) == 161
    assert len({e.git_blob for e in entries}) == len({e.number for e in entries}) == 161
    assert all(len(e.git_blob) == 40 for e in entries)
    assert {303, 304, 308, 314, 157}.isdisjoint({e.number for e in entries})
    assert [cwru.find(e.git_blob) for e in entries] == list(entries)
    assert cwru.find("0" * 40) is None


def test_rates_labels_and_specimens_follow_the_sets() -> None:
    for e in cwru.catalogue():
        assert e.sampling_rate_hz == (48000 if e.set in {"normal", "48k_drive_end"} else 12000)
        assert e.label == (e.fault if e.fault == "normal" else f"{e.fault}_{e.size_in[2:]}")
        assert e.fault.startswith("fan_end_") == (e.set == "12k_fan_end")
        assert bool(e.position) == e.fault.endswith("outer_race")
        assert e.condition in {"0 HP", "1 HP", "2 HP", "3 HP"}
        assert ("NTN" in e.bearing) == (3001 <= e.number <= 3008)
        assert 1715 <= e.true_rpm <= 1800
    assert {e.specimen for e in cwru.catalogue() if e.label == "normal"} == {"drive-end-normal"}
    # One bearing for each end, defect and size: a split by specimen can then not see the same bearing twice.
    by_specimen: dict[str, set[tuple[bool, str]]] = {}
    for e in cwru.catalogue():
        by_specimen.setdefault(e.specimen, set()).add((e.set == "12k_fan_end", e.label))
    assert all(len(labels) == 1 for labels in by_specimen.values())
    assert len(by_specimen) == len({e.label for e in cwru.catalogue()}) == 21
    assert entry_of(105).specimen == entry_of(109).specimen  # 12 kHz and 48 kHz
    assert entry_of(130).specimen == entry_of(144).specimen == entry_of(156).specimen  # three positions


def test_speed_is_the_files_unless_its_spectrum_disagrees() -> None:
    wrong = {e.number for e in cwru.catalogue() if e.file_rpm is not None and abs(e.file_rpm - e.true_rpm) > 5}
    assert wrong == {158, 279}
    nominal = {"0": 1797, "1": 1772, "2": 1750, "3": 1730}
    for e in cwru.catalogue():
        if e.rpm_origin == "nominal":
            assert e.true_rpm == nominal[e.load_hp] and e.file_rpm is None
        elif e.number != 158:  # filed under 1 HP, turned at 0 HP
            assert abs(e.true_rpm - nominal[e.load_hp]) < 13


def test_own_variables_do_not_follow_the_file_name() -> None:
    assert cwru.own_variables(entry_of(105))["DE"] == "X105_DE_time"
    assert cwru.own_variables(entry_of(174)) == {"DE": "X173_DE_time", "FE": "X173_FE_time"}
    assert cwru.own_variables(entry_of(3001)) == {"DE": "X056_DE_time"}
    for number, name in ((97, "X097"), (98, "X098"), (99, "X099"), (175, "X175"), (217, "X217")):
        assert cwru.own_variables(entry_of(number))["DE"] == f"{name}_DE_time"


def variables_of(entry: cwru.Entry) -> list[Variable]:
    def load() -> np.ndarray:
        raise AssertionError("the catalogue looks at names and shapes alone")

    shape = (entry.samples or 0, 1)
    return [Variable(n, (1, 1) if n.endswith("RPM") else shape, "number", load) for n in entry.variables]


def test_every_seen_file_is_found_by_its_variables() -> None:
    for e in cwru.catalogue():
        found = cwru.find_by_variables(variables_of(e), rpm=e.file_rpm)
        assert found == (e if e.samples else None)
    assert cwru.find_by_variables(variables_of(entry_of(105))[:2]) is None  # a channel is missing
    assert cwru.find_by_variables(variables_of(entry_of(105)), rpm=1750.0) is None
    assert cwru.find_by_variables([]) is None


def real(folder: Path, number: int) -> Path:
    return next(p for p in (folder / "cwru" / f"{number}.mat", folder / "cwru_odd" / f"{number}.mat") if p.is_file())


@pytest.mark.real_data
def test_blob_ids_and_facts_agree_with_the_bytes(real_data: Path) -> None:
    files = sorted([*(real_data / "cwru").glob("*.mat"), *(real_data / "cwru_odd").glob("*.mat")])
    assert len(files) == 45
    for path in files:
        entry = cwru.find(blob_id(path.read_bytes()))
        assert entry is not None and entry.number == int(path.stem)


@pytest.mark.real_data
def test_the_catalogue_agrees_with_the_inventory(real_data: Path) -> None:
    if not (real_data / "cwru_inventory.csv").is_file():
        pytest.skip("no inventory beside the recordings")
    with (real_data / "cwru_inventory.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        e = entry_of(int(row["number"]))
        assert (e.git_blob, e.set, e.load_hp, str(e.samples)) == (
            row["git_blob"], row["set"], row["load_hp"], row["samples"],
        )  # fmt: skip
        assert e.sampling_rate_hz == float(row["sampling_hz"])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("number", "variable", "rate_hz", "rpm", "label"),
    [
        (97, "X097_DE_time", 48000, 1796, "normal"),
        (109, "X109_DE_time", 48000, 1796, "inner_race_007"),
        (158, "X158_DE_time", 12000, 1796.75, "outer_race_007"),
        (174, "X173_DE_time", 48000, 1796, "inner_race_014"),
        (189, "X189_DE_time", 48000, 1797, "ball_014"),
        (277, "X277_DE_time", 12000, 1733, "fan_end_inner_race_014"),
        (279, "X279_DE_time", 12000, 1774.25, "fan_end_inner_race_007"),
        (3001, "X056_DE_time", 12000, 1795.75, "inner_race_028"),
        (3005, "X048_DE_time", 12000, 1797, "ball_028"),
    ],
)
def test_each_trap(real_data: Path, *, number: int, variable: str, rate_hz: float, rpm: float, label: str) -> None:
    path = real(real_data, number)
    record = read_record(path)
    expected = loadmat(path, variable_names=[variable])[variable].ravel().astype(np.float32)
    np.testing.assert_array_equal(record.signal, expected[None])
    assert (record.sampling_rate_hz, record.rpm, record.label) == (rate_hz, rpm, label)
    assert record.channels == ("DE",)
    assert record.details["catalogue"] == f"CWRU {number}"
    assert record.known_from["sampling_rate_hz"] == "CWRU catalogue"
    assert record.specimen == entry_of(number).specimen


@pytest.mark.real_data
def test_the_notes_name_the_traps(real_data: Path) -> None:
    def notes(number: int) -> str:
        return " | ".join(read_record(real(real_data, number)).notes)

    assert "48 kHz" in notes(97)
    assert "the file says 1773 rpm, its spectrum 1796.75" in notes(158)
    assert "the file says 1732 rpm, its spectrum 1774.25" in notes(279)
    assert "DE and FE are one signal" in notes(189)
    assert "stray variable i" in notes(277)
    assert "X056" in notes(3001)
    assert read_record(real(real_data, 105)).notes == ()


@pytest.mark.real_data
def test_the_rate_of_97_shows_in_its_spectrum(real_data: Path) -> None:
    """The shaft's line lies at rpm / 60 when the samples are read at 48 kHz, and nowhere near it at 12 kHz."""
    record = read_record(real(real_data, 97))
    x = record.signal[0] * np.hanning(record.signal.shape[1])
    power = np.abs(np.fft.rfft(x, 2**20)) ** 2
    assert record.rpm is not None

    def peak_hz(rate_hz: float) -> float:
        f = np.fft.rfftfreq(2**20, 1 / rate_hz)
        band = (f > 25) & (f < 35)
        return float(f[band][np.argmax(power[band])])

    assert abs(peak_hz(48000) * 60 - record.rpm) < 6


@pytest.mark.real_data
def test_a_renamed_copy_is_found_by_its_bytes(real_data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "xyz.bin"
    copy.write_bytes(real(real_data, 105).read_bytes())
    record = read_record(copy)
    assert record.details["catalogue"] == "CWRU 105"
    assert not any("not the original" in note for note in record.notes)


@pytest.mark.real_data
def test_a_copy_saved_again_is_found_by_its_variables(real_data: Path, tmp_path: Path) -> None:
    original = real(real_data, 105)
    data = {k: v for k, v in loadmat(original).items() if not k.startswith("__")}
    savemat(tmp_path / "again.mat", data, do_compression=True)
    record = read_record(tmp_path / "again.mat")
    assert record.details["catalogue"] == "CWRU 105" and record.sampling_rate_hz == 12000
    assert any("not the original" in note for note in record.notes)
    np.testing.assert_array_equal(record.signal, read_record(original).signal)


@pytest.mark.real_data
def test_changed_and_renamed_is_another_file(real_data: Path, tmp_path: Path) -> None:
    data = {k: v for k, v in loadmat(real(real_data, 105)).items() if not k.startswith("__")}
    data["X105_DE_time"][0] += 1.0
    savemat(tmp_path / "105.mat", {k.replace("X105", "X905"): v for k, v in data.items()})
    with pytest.raises(RecordError, match="sampling rate is not known"):
        read_record(tmp_path / "105.mat")
    record = read_record(tmp_path / "105.mat", sampling_rate_hz=12000)
    assert record.label is None and "catalogue" not in record.details
    assert record.rpm == 1797 and record.channels == ("DE",)


@pytest.mark.real_data
def test_a_wrong_rate_is_refused_and_a_table_wins(real_data: Path) -> None:
    path = str(real(real_data, 97))
    with pytest.raises(RecordError, match=r"48000 Hz and --sampling-rate 12000 Hz; drop the flag"):
        read_record(path, sampling_rate_hz=12000)
    assert read_record(path, sampling_rate_hz=48000).sampling_rate_hz == 48000
    declared = Declared(sampling_rate_hz=12000, rpm=1700, label="healthy", said_by="records.csv line 2")
    record = read_item(Item(path, declared))
    assert (record.sampling_rate_hz, record.rpm, record.label) == (12000, 1700, "healthy")
    assert record.known_from["sampling_rate_hz"] == record.known_from["label"] == "records.csv line 2"
    assert sum("believed" in note for note in record.notes) == 2
    with pytest.raises(RecordError, match="correct the table"):
        read_item(Item(path, declared, Declared(sampling_rate_hz=48000)))


@pytest.mark.real_data
def test_channels_of_105(real_data: Path) -> None:
    path = real(real_data, 105)
    both = read_record(path, channels=("ba", "X105_FE_time", "3"))
    assert both.channels == ("BA", "FE")
    with pytest.raises(RecordError, match="1 DE, 2 FE, 3 BA"):
        read_record(path, channels=("XX",))
    assert read_record(path, variable="X105_FE_time").channels == ("FE",)


def mat(**variables: object) -> bytes:
    stream = io.BytesIO()
    savemat(stream, variables)  # type: ignore[arg-type]  # the stubs do not know that it takes a stream
    return stream.getvalue()


def test_a_file_with_two_records_asks_which(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(100, 1)), rng.normal(size=(120, 1))
    (tmp_path / "x.mat").write_bytes(mat(X798_DE_time=a, X799_DE_time=b, X799RPM=[[1751]], X798RPM=[[1772]]))
    with pytest.raises(RecordError, match="--variable X798"):
        read_record(tmp_path / "x.mat", sampling_rate_hz=48000)
    record = read_record(tmp_path / "x.mat", sampling_rate_hz=48000, variable="X799")
    assert (record.rpm, record.channels, record.signal.shape) == (1751, ("DE",), (1, 120))


def test_99_is_read_by_its_own_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As others describe file 99, which is not at hand: X098 first, X099 after it, and no rpm."""
    rng = np.random.default_rng(2)
    other, own = rng.normal(size=(100, 1)), rng.normal(size=(110, 1))
    data = mat(X098_DE_time=other, ans=[[1.0]], X099_DE_time=own, X099_FE_time=own)
    (tmp_path / "a.mat").write_bytes(data)
    monkeypatch.setattr(cwru, "find", lambda blob: entry_of(99) if blob == blob_id(data) else None)
    record = read_record(tmp_path / "a.mat")
    np.testing.assert_array_equal(record.signal[0], own.ravel().astype(np.float32))
    assert record.rpm == 1750 and "nominal" in record.known_from["rpm"]
    with pytest.raises(RecordError, match="sampling rate is not known"):  # the catalogue does not speak of X098
        read_record(tmp_path / "a.mat", variable="X098")
