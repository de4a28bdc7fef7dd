"""`map-endpoint dicomize`: what went into the store comes out of it, judged by pydicom and dciodvfy."""

import os
import pathlib
import re
import subprocess
import warnings

import numpy as np
import pydicom
import pytest
from conftest import run_cli
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.seg import SegmentDescription, Segmentation
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from store_process import client_of, failures, import_folder, running_store

PYDICOM = pathlib.Path(pydicom.__file__).parent / "data"
JPEG_EXTENDED = "Pixel data of transfer syntax 1.2.840.10008.1.2.4.51 are not supported."

# What the store does not take, and why: a damaged object must not become an image set.
REFUSED = {
    "JPEG-lossy.dcm": JPEG_EXTENDED,
    "JPGExtended.dcm": JPEG_EXTENDED,
    "JPEG2000-embedded-sequence-delimiter.dcm": "declares 3722445056",
    "badVR.dcm": "only 400 belong to 1 frames",
    "MR_truncated.dcm": "8130 are left",
    "rtplan_truncated.dcm": "711 are left",
    # Implicit VR under an explicit syntax: most of it is out of reach.
    "rtdose_rle.dcm": "StudyInstanceUID does not exist",
    "rtdose_rle_1frame.dcm": "StudyInstanceUID does not exist",
}

# Differences that an element may have, each with its reason. Anything else fails.
JUSTIFIED = {
    "group length": "retired (PS3.5 §7.2), and untrue once an element is written anew",
    "offset table": "tells of the received encoding; frames are encoded anew",
    "character set": "text is written in UTF-8 where it is more than ASCII; the text itself is compared",
    "nested character set": "UTF-8 is declared once, for all levels",
    "colour": "RGB once the transform inside the codestream (YBR_RCT, YBR_ICT) is undone",
    "planes": "pixels are written interleaved; the decoded pixels are compared",
    "padding": "blanks around a value of text are no part of it, an odd length is made even (PS3.5 §6.2, §7.1.1)",
    "VR": "an element that the dictionary gives two binary VRs (OB or OW) is written as OW",
}


def reason(tag, old, new, path):
    """Why two elements may differ; None when they may not."""
    if tag.element == 0:
        return "group length"
    if tag in (0x7FE00001, 0x7FE00002):
        return "offset table"
    if tag == 0x00080005 and new is None and path:
        return "nested character set"
    if old is None or new is None:
        return None
    if tag == 0x00080005 and new.value == "ISO_IR 192":
        return "character set"
    if tag == 0x00280004 and old.value in ("YBR_RCT", "YBR_ICT") and new.value == "RGB":
        return "colour"
    if tag == 0x00280006 and new.value == 0:
        return "planes"
    if {old.VR, new.VR} == {"OB", "OW"} and old.value == new.value:
        return "VR"
    if isinstance(old.value, bytes) and len(old.value) % 2 == 1 and new.value == old.value + b"\0":
        return "padding"
    if old.VR == new.VR and isinstance(old.value, (str, pydicom.multival.MultiValue)):
        stripped = [str(v).strip(" \0") for v in np.atleast_1d(old.value)], [str(v).strip(" \0") for v in np.atleast_1d(new.value)]
        if stripped[0] == stripped[1]:
            return "padding"
    return None


def same(old, new):
    if old.VR != new.VR:
        return False
    if old.value in (None, "") and new.value in (None, ""):
        return True
    return old.value == new.value or (old.value != old.value and new.value != new.value)


def differences(old, new, path=""):
    """(place, reason or None) of every element in which two data sets differ, at all levels; pixels apart."""
    for tag in sorted(set(old.keys()) | set(new.keys())):
        if not path and tag in (0x7FE00010, 0x7FE00008, 0x7FE00009):
            continue
        first = old[tag] if tag in old else None
        second = new[tag] if tag in new else None
        if first is not None and second is not None:
            if first.VR == second.VR == "SQ" and len(first.value) == len(second.value):
                for index, (one, other) in enumerate(zip(first.value, second.value)):
                    yield from differences(one, other, f"{path}{tag}[{index}]")
                continue
            if same(first, second):
                continue
        yield f"{path}{tag}", reason(tag, first, second, path)


def pixels(dataset):
    for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if name in dataset:
            array = dataset.pixel_array
            return array.astype(array.dtype.newbyteorder("="))
    return None


def errors(path):
    """What dciodvfy calls an error, without the values that it quotes."""
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace")
    found = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    return {re.sub(r"</[^>]*>|<[^>]*>|0x[0-9a-f]+ dec", "", line) for line in found}


def completed(path, target):
    """A copy of a file that can be an image set at all: with file meta and the UIDs of the three levels."""
    raw = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        missing = [n for n in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID") if not dataset.get(n)]
        syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
        if missing or syntax is None or raw[128:132] != b"DICM":  # what is whole goes in byte for byte
            for name in missing:
                setattr(dataset, name, "1.2.840.10008.5.1.4.1.1.7" if name == "SOPClassUID" else generate_uid())
            if "BitsAllocated" not in dataset and "PixelData" in dataset:
                del dataset.PixelData  # bytes without a description are no image
            if syntax is None:
                implicit, little = dataset.original_encoding
                dataset.file_meta.TransferSyntaxUID = (
                    ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else "1.2.840.10008.1.2.2"
                )
            dataset.save_as(target, enforce_file_format=True)
        else:
            target.write_bytes(raw)
        return str(pydicom.dcmread(target, force=True).SOPInstanceUID)


def round_trip(folder, sources, url, *flags):
    """Imports sources in as many data stores as equal UIDs ask for; gives {source: written file} and what was refused."""
    rounds = []
    (folder / "sources").mkdir()
    for number, source in enumerate(sources):
        target = folder / "sources" / f"{number}-{source.name}"
        uid = completed(source, target)
        for known in rounds:
            if uid not in known:
                known[uid] = target
                break
        else:
            rounds.append({uid: target})
    client = client_of(url)
    written, refused = {}, {}
    for number, files in enumerate(rounds):
        given, reports, out = (folder / f"{name}-{number}" for name in ("given", "reports", "out"))
        given.mkdir()
        reports.mkdir()
        for path in files.values():
            os.link(path, given / path.name)
        datastore = client.create_datastore(datastoreName=f"round-{number}")["datastoreId"]
        _, summary = import_folder(client, datastore, given, reports)
        refused |= {pathlib.Path(f["inputFile"]).name: f["exception"]["message"] for f in failures(reports)}
        if summary["numberOfImportedFiles"] > 0:
            run_cli("dicomize", "--datastore", datastore, "--all", "-o", out, "--endpoint-url", url, *flags)
        by_uid = {path.stem: path for path in out.rglob("*.dcm")}
        for uid, path in files.items():
            if path.name not in refused:
                written[path] = by_uid.pop(uid)
        assert not by_uid, "files that nobody asked for"
    return written, {name.split("-", 1)[1]: message for name, message in refused.items()}


def check(source, result):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old, new = pydicom.dcmread(source), pydicom.dcmread(result)
        unjustified = [place for place, why in differences(old, new) if why not in JUSTIFIED]
        assert not unjustified, f"{source.name}: {unjustified}"
        assert new.file_meta.MediaStorageSOPInstanceUID == old.SOPInstanceUID
        try:
            want = pixels(old)
        except Exception:  # an object that pydicom itself cannot decode
            return False
        got = pixels(new)
        assert (want is None) == (got is None), source.name
        assert want is None or (want.dtype == got.dtype and np.array_equal(want, got)), f"{source.name}: pixels differ"
        return True


def test_pydicoms_own_files(tmp_path):
    sources = sorted((PYDICOM / "test_files").glob("*.dcm")) + sorted((PYDICOM / "charset_files").glob("*.dcm"))
    with running_store(tmp_path / "data", tmp_path) as url:
        written, refused = round_trip(tmp_path, sources, url)
    assert set(refused) == set(REFUSED), refused
    assert all(REFUSED[name] in message for name, message in refused.items()), refused
    assert len(written) == len(sources) - len(refused)
    unreadable = [source.name.split("-", 1)[1] for source, result in written.items() if not check(source, result)]
    # Charset files whose pixel data are shorter than their header says have none to compare.
    assert unreadable == [], unreadable


@pytest.mark.parametrize("name", ["ct-abdomen-30", "ct-thorax-20", "mr-t1-brain"])
def test_the_shared_series(tmp_path, shared, name):
    sources = sorted((shared / "data" / name).iterdir())[:40]
    with running_store(tmp_path / "data", tmp_path) as url:
        written, refused = round_trip(tmp_path, sources, url, "--png")
    assert refused == {}
    assert len(written) == len(sources)
    for source, result in written.items():
        assert check(source, result)
        assert result.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    for source, result in list(written.items())[:3]:
        assert errors(result) <= errors(source)


def highdicom_objects(folder, series):
    """A binary segmentation whose frames end inside a byte, and a parametric map of floats, made by highdicom."""
    slices = [pydicom.dcmread(path) for path in sorted(series.iterdir())[:3]]
    for each in slices:
        array = each.pixel_array[:101, :99]
        each.Rows, each.Columns = array.shape
        each.PixelData = array.tobytes() + b"\0" * (array.nbytes % 2)
        each.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    common = {
        "source_images": slices, "series_instance_uid": generate_uid(), "series_number": 9,
        "sop_instance_uid": generate_uid(), "instance_number": 1, "manufacturer": "Test",
        "manufacturer_model_name": "Test", "software_versions": "1", "device_serial_number": "1",
    }  # fmt: skip
    algorithm = AlgorithmIdentificationSequence("Test", codes.DCM.ArtificialIntelligence, "1")
    segment = SegmentDescription(1, "Spleen", codes.SCT.Organ, codes.SCT.Spleen, "AUTOMATIC", algorithm)
    mask = np.random.default_rng(1).random((3, 101, 99)) > 0.5
    seg = Segmentation(pixel_array=mask, segmentation_type="BINARY", segment_descriptions=[segment], **common)
    mapping = RealWorldValueMapping(
        lut_label="1", lut_explanation="values", unit=codes.UCUM.NoUnits, value_range=(-10.0, 10.0), slope=1, intercept=0
    )
    floats = np.random.default_rng(2).normal(size=(3, 101, 99)).astype(np.float32)
    map_ = ParametricMap(
        pixel_array=floats, contains_recognizable_visual_features=False, real_world_value_mappings=[mapping],
        window_center=0, window_width=20, **{**common, "series_instance_uid": generate_uid(), "sop_instance_uid": generate_uid()},
    )  # fmt: skip
    for name, made in (("seg.dcm", seg), ("map.dcm", map_)):
        made.save_as(folder / name)
        yield folder / name


def test_objects_of_highdicom(tmp_path, shared):
    made = tmp_path / "made"
    made.mkdir()
    sources = list(highdicom_objects(made, shared / "data" / "ct-abdomen-30"))
    with running_store(tmp_path / "data", tmp_path) as url:
        written, refused = round_trip(tmp_path, sources, url)
    assert refused == {}
    for source, result in written.items():
        assert check(source, result)
        assert errors(result) <= errors(source)


def test_frames_kept_as_they_are_stored(tmp_path, shared):
    sources = sorted((shared / "data" / "ct-abdomen-30").iterdir())[:3] + [PYDICOM / "test_files" / "SC_rgb_rle_2frame.dcm"]
    with running_store(tmp_path / "data", tmp_path) as url:
        written, _ = round_trip(tmp_path, sources, url, "--keep-stored")
    for source, result in written.items():
        assert pydicom.dcmread(result).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.202"
        assert check(source, result)
