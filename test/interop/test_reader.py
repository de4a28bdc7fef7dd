"""Our DICOM reader and frame decoders against pydicom's, element for element and bit for bit, over pydicom's own test files
and the shared series. What differs is listed here with its reason; anything else is a failure."""

import hashlib
import json
import logging
import pathlib
import subprocess
import warnings

import numpy as np
import pydicom
import pytest
from conftest import ROOT
from pydicom.multival import MultiValue
from pydicom.pixels import iter_pixels
from pydicom.valuerep import PersonName

FILES = pathlib.Path(pydicom.__file__).parent / "data"

# Refused by design, with a part of the message.
REFUSED = {
    "MR_truncated.dcm": "claims 8192 bytes",
    "rtplan_truncated.dcm": "claims 976 bytes",
    "no_meta.dcm": "no DICOM object",
    "DICOMDIR-nooffset": "cut short",
    "badVR.dcm": "only 400 belong",
    "nested_priv_SQ.dcm": "BitsAllocated",
    "meta_missing_tsyntax.dcm": "BitsAllocated",
    "JPEG2000-embedded-sequence-delimiter.dcm": "codestream of the frame declares",
    "JPEG-lossy.dcm": "1.2.840.10008.1.2.4.51 are not supported",
    "JPGExtended.dcm": "1.2.840.10008.1.2.4.51 are not supported",
    "SC_ybr_full_422_uncompressed.dcm": "4:2:2",
}
# pydicom drops an empty third component group of a name.
OTHER_TEXT = {"chrX1.dcm": {"00100010"}, "chrX2.dcm": {"00100010"}}


def sha1(data):
    return hashlib.sha1(data).hexdigest()


def plain(value, vr):
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": f"{len(value)}:{sha1(bytes(value))}"}
    if vr in ("DS", "IS"):
        return str(getattr(value, "original_string", value)).strip()
    if isinstance(value, (PersonName, str)):
        return str(value).rstrip(" \0")
    if isinstance(value, float):
        return value if np.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return int(value)


def dump(dataset, top=True):
    out = {}
    for tag in sorted(dataset.keys()):
        element = dataset[tag]
        if top and tag == 0x7FE00010:
            continue
        vr = {"OB or OW": "OW", "US or OW": "OW", "US or SS": "US"}.get(element.VR, element.VR)
        value = element.value
        if vr == "SQ":
            values = [dump(item, top=False) for item in value]
        elif value is None or (hasattr(value, "__len__") and len(value) == 0):
            values = []
        else:
            values = [plain(each, vr) for each in (value if isinstance(value, (MultiValue, list)) else [value])]
        out[f"{int(tag):08x}"] = [vr, *values]
    return out


def trimmed(elements):
    def value(each, vr):
        if isinstance(each, dict) and "bytes" not in each:
            return trimmed(each)
        return each.strip() if isinstance(each, str) and vr in ("DS", "IS") else each

    return {tag: [vr, *(value(each, vr) for each in values)] for tag, (vr, *values) in elements.items()}


def pixel_hashes(dataset):
    syntax = dataset.file_meta.TransferSyntaxUID if hasattr(dataset, "file_meta") else None
    # Baseline JPEG is lossy, decoders differ in rounding: pillow's is libjpeg-turbo, as ours.
    # GDCM's JPEG 2000 gives arrays that pydicom cannot correct the sign in.
    plugin = {
        "1.2.840.10008.1.2.4.50": "pillow",
        "1.2.840.10008.1.2.4.90": "pylibjpeg",
        "1.2.840.10008.1.2.4.91": "pylibjpeg",
    }.get(syntax)
    options = {"decoding_plugin": plugin} if plugin else {}
    return [
        sha1(np.ascontiguousarray(frame.astype(frame.dtype.newbyteorder("<"))).tobytes())
        for frame in iter_pixels(dataset, **options)
    ]


@pytest.fixture(autouse=True)
def quiet_and_literal_pydicom(monkeypatch):
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    monkeypatch.setattr(pydicom.config, "replace_un_with_known_vr", False)
    monkeypatch.setattr(pydicom.config, "convert_wrong_length_to_UN", True)
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)


def our_dump(paths):
    done = subprocess.run(
        ["npx", "tsx", "test/interop/dump_dicom.ts"],
        cwd=ROOT,
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def differences(ours):
    """Why our answer for one file is not pydicom's; empty when it is."""
    path = pathlib.Path(ours["path"])
    if "refused" in ours:
        expected = REFUSED.get(path.name)
        return [] if expected and expected in ours["refused"] else [f"refused: {ours['refused']}"]
    if path.name in REFUSED:
        return ["not refused"]
    dataset = pydicom.dcmread(path, force=True)
    theirs, mine = dump(dataset), trimmed(ours["elements"])
    skipped = OTHER_TEXT.get(path.name, set())
    wrong = [tag for tag in {*theirs, *mine} - skipped if theirs.get(tag) != mine.get(tag)]
    out = [f"{tag}: ours {str(mine.get(tag))[:80]}, pydicom's {str(theirs.get(tag))[:80]}" for tag in sorted(wrong)]
    if "PixelData" in dataset and dataset.get("BitsAllocated", 1) != 1 and ours["frames"] != pixel_hashes(dataset):
        out.append(f"pixels of {ours['transferSyntaxUid']}")
    return out


def all_differences(paths):
    answers = our_dump(paths)
    assert len(answers) == len(paths)
    return {pathlib.Path(each["path"]).name: found for each in answers if (found := differences(each))}


def is_dicom(path):
    return path.suffix == ".dcm" or b"DICM" == path.read_bytes()[128:132]


def test_pydicoms_files():
    paths = [path for path in sorted(FILES.rglob("*")) if path.is_file() and "_files" in str(path) and is_dicom(path)]
    assert len(paths) > 150
    assert all_differences(paths) == {}


@pytest.mark.parametrize("series", ["ct-thorax-20", "ct-abdomen-30", "mr-t1-brain"])
def test_shared_series(shared, series):
    paths = sorted((shared / "data" / series).iterdir())[:40]
    assert all_differences(paths) == {}


def test_single_bit_frames(shared, tmp_path):
    """Frames of 122×101 bits start inside bytes: unpacked, they are pydicom's."""
    command = ["npx", "tsx", "test/interop/make_seg.ts", str(shared / "data" / "ct-abdomen-30"), str(tmp_path), "labels"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (ours,) = our_dump([tmp_path / "seg.dcm"])
    frames = pydicom.dcmread(tmp_path / "seg.dcm").pixel_array
    assert ours["frames"] == [sha1(np.packbits(frame.ravel(), bitorder="little").tobytes()) for frame in frames]
