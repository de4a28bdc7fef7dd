"""Every transfer syntax that the store takes: files transcoded by GDCM, frames judged by pydicom's decoders."""

import gzip
import json
import zlib

import gdcm
import numpy as np
import openjpeg
import pydicom
import pytest
from pydicom.data import get_testdata_file
from store_process import client_of, failures, import_folder, running_store

HTJ2K = "1.2.840.10008.1.2.4.202"
EXPLICIT = "1.2.840.10008.1.2.1"
SYNTAXES = {
    "implicit": gdcm.TransferSyntax.ImplicitVRLittleEndian,
    "explicit": gdcm.TransferSyntax.ExplicitVRLittleEndian,
    "big": gdcm.TransferSyntax.ExplicitVRBigEndian,
    "rle": gdcm.TransferSyntax.RLELossless,
    "jpeg-lossless-57": gdcm.TransferSyntax.JPEGLosslessProcess14,
    "jpeg-lossless-70": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "jpeg-ls": gdcm.TransferSyntax.JPEGLSLossless,
    "jpeg-2000": gdcm.TransferSyntax.JPEG2000Lossless,
}


def grey(bits, signed, frames=1):
    """A grey image whose values fill its range."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dtype = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    pixels = np.random.default_rng(bits).integers(low, high, (frames, 40, 56), dtype, endpoint=True)
    pixels[0, 0, :2] = low, high
    dataset.Rows, dataset.Columns = 40, 56
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = dtype.itemsize * 8, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"):
        if keyword in dataset:
            del dataset[keyword]
    return dataset


def colour():
    return pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm"))


IMAGES = {
    "u8": lambda: grey(8, False),
    "s8": lambda: grey(8, True),
    "u12": lambda: grey(12, False),
    "u16": lambda: grey(16, False),
    "s12": lambda: grey(12, True),
    "s16": lambda: grey(16, True),
    "frames": lambda: grey(12, False, 3),
    "rgb": colour,
}


def transcoded(dataset, syntax, target):
    dataset.save_as(target, enforce_file_format=True)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(target))
    if not reader.Read():
        return False
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    if not change.Change():
        return False
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    return writer.Write()


def raw_pixels(dataset):
    pixels = pydicom.pixels.pixel_array(dataset, raw=True)
    pixels = pixels.astype(pixels.dtype.newbyteorder("<"))
    return pixels if int(dataset.get("NumberOfFrames") or 1) > 1 else pixels[np.newaxis]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(folder, SOP instance UID → (image, syntax, data set as pydicom reads the transcoded file))."""
    folder = tmp_path_factory.mktemp("syntaxes")
    made = {}
    for number, (image, make) in enumerate(IMAGES.items()):
        original = make()
        for other, (syntax, wanted) in enumerate(SYNTAXES.items()):
            uid = f"1.5.{number}.{other}"
            original.StudyInstanceUID, original.SeriesInstanceUID = uid, f"{uid}.1"
            original.SOPInstanceUID = original.file_meta.MediaStorageSOPInstanceUID = f"{uid}.1.1"
            target = folder / f"{image}-{syntax}.dcm"
            if not transcoded(original, wanted, target):
                target.unlink()
                continue
            got = pydicom.dcmread(target)
            assert np.array_equal(raw_pixels(got), raw_pixels(original)), "the judge does not read its own file"
            made[got.SOPInstanceUID] = (image, syntax, got)
    return folder, made


def test_frames_of_every_syntax_are_pydicoms(files, tmp_path):
    folder, made = files
    syntaxes = {syntax for _, syntax, _ in made.values()}
    assert syntaxes == set(SYNTAXES), "GDCM made no file of some syntax"
    assert {image for image, _, _ in made.values()} == set(IMAGES)
    with running_store(tmp_path / "data", tmp_path, folder) as url:
        client = client_of(url)
        datastore_id = client.create_datastore(datastoreName="syntaxes")["datastoreId"]
        _, summary = import_folder(client, datastore_id, folder, tmp_path / "out")
        assert failures(tmp_path / "out") == []
        seen = 0
        for image_set in summary["imageSetsSummary"]:
            name = {"datastoreId": datastore_id, "imageSetId": image_set["imageSetId"]}
            document = json.loads(gzip.decompress(client.get_image_set_metadata(**name)["imageSetMetadataBlob"].read()))
            (series,) = document["Study"]["Series"].values()
            for uid, instance in series["Instances"].items():
                image, syntax, want = made[uid]
                # The encoder takes signed bytes for unsigned ones: they stay uncompressed.
                stored_as = instance.get("StoredTransferSyntaxUID", HTJ2K)
                assert stored_as == (EXPLICIT if image == "s8" else HTJ2K), (image, syntax)
                pixels = raw_pixels(want)
                assert len(instance["ImageFrames"]) == len(pixels)
                for told, plane in zip(instance["ImageFrames"], pixels):
                    frame = client.get_image_frame(**name, imageFrameInformation={"imageFrameId": told["ID"]})
                    stored = frame["imageFrameBlob"].read()
                    raw = stored_as == EXPLICIT
                    got = np.frombuffer(stored, plane.dtype).reshape(plane.shape) if raw else openjpeg.decode(stored)
                    assert got.dtype == plane.dtype and np.array_equal(got, plane), (image, syntax)
                    full = told["PixelDataChecksumFromBaseToFullResolution"][-1]
                    assert full["Checksum"] == zlib.crc32(np.ascontiguousarray(plane).tobytes()), (image, syntax)
                    assert (told["MinPixelValue"], told["MaxPixelValue"]) == (plane.min(), plane.max())
                seen += 1
        assert seen == len(made)
