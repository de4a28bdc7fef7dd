"""dicomweb-client, unmodified, against the store's DICOMweb: what is stored by STOW-RS is found and comes back equal."""

import io
import json
import urllib.error
import urllib.request

import numpy as np
import openjpeg
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.pixels.utils import pack_bits
from requests.exceptions import HTTPError
from store_process import client_of, import_folder, running_store

HTJ2K = "1.2.840.10008.1.2.4.202"
EXPLICIT = "1.2.840.10008.1.2.1"
NAMES = ["CT_small", "MR_small_implicit", "examples_rgb_color", "SC_rgb_rle_2frame", "liver_1frame", "bits"]
NAMES += ["priv_SQ", "reportsi", "examples_overlay"]


def read(name):
    if name != "bits":
        return pydicom.dcmread(get_testdata_file(f"{name}.dcm"))
    # Three frames of single bits, none of which begins at a byte but the first.
    dataset = pydicom.dcmread(get_testdata_file("liver_1frame.dcm"))
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 7, 11, 3
    dataset.PixelData = pack_bits(np.random.default_rng(1).integers(0, 2, (3, 7, 11), np.uint8))
    return dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dicomweb")


@pytest.fixture(scope="module")
def url(folder):
    with running_store(folder / "data", folder) as url:
        yield url


@pytest.fixture(scope="module")
def imaging(url):
    return client_of(url)


@pytest.fixture(scope="module")
def datastore(imaging):
    return imaging.create_datastore(datastoreName="web")["datastoreId"]


@pytest.fixture(scope="module")
def web(url, datastore):
    return DICOMwebClient(f"{url}/datastore/{datastore}")


@pytest.fixture(scope="module")
def sources(web):
    """Files of several kinds, each a study of its own, stored in one request."""
    found = {}
    for number, name in enumerate(NAMES):
        dataset = read(name)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.9.{number}", f"1.9.{number}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.9.{number}.1.1"
        dataset.SOPClassUID = dataset.get("SOPClassUID") or dataset.file_meta.MediaStorageSOPClassUID
        found[name] = dataset
    answer = web.store_instances(list(found.values()))
    stored = [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence]
    assert stored == [dataset.SOPInstanceUID for dataset in found.values()]
    assert "FailedSOPSequence" not in answer
    return found


def place(dataset):
    return dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID


def same_elements(got, want, path=""):
    """Every element but the pixels and the character set (text comes as UTF-8) is the same."""
    skipped = ("PixelData", "SpecificCharacterSet")
    # Group lengths and the padding behind a data set say nothing.
    keys = {element.tag for element in [*got, *want] if element.keyword not in skipped}
    keys = {tag for tag in keys if tag.element != 0 and tag != 0xFFFCFFFC}
    for tag in sorted(keys):
        where = f"{path}/{tag}"
        assert tag in got and tag in want, where
        if want[tag].VR == "SQ":
            assert len(got[tag].value) == len(want[tag].value), where
            for one, other in zip(got[tag].value, want[tag].value):
                same_elements(one, other, where)
        elif not (got[tag].is_empty and want[tag].is_empty):
            assert got[tag].value == want[tag].value, where
            assert got[tag].VR == want[tag].VR, where


@pytest.mark.parametrize("name", NAMES)
def test_an_instance_comes_back_with_its_elements_and_pixels(web, sources, name):
    want = sources[name]
    got = web.retrieve_instance(*place(want), media_types=(("application/dicom", EXPLICIT),))
    assert got.file_meta.TransferSyntaxUID == EXPLICIT
    same_elements(got, want)
    if "PixelData" not in want:
        return
    assert np.array_equal(got.pixel_array, want.pixel_array)
    stored = web.retrieve_instance(*place(want), media_types=(("application/dicom", "*"),))
    if want.BitsAllocated > 1:
        assert stored.file_meta.TransferSyntaxUID == HTJ2K
    same_elements(stored, want)
    assert np.array_equal(pydicom.pixels.pixel_array(stored, raw=True), pydicom.pixels.pixel_array(want, raw=True))


@pytest.mark.parametrize("name", ["CT_small", "bits", "SC_rgb_rle_2frame"])
def test_frames_come_decoded_or_as_stored(web, sources, name):
    want = sources[name]
    count = int(want.get("NumberOfFrames") or 1)
    numbers = list(range(count, 0, -1))
    got = web.retrieve_instance_frames(*place(want), frame_numbers=numbers)
    pixels = want.pixel_array if count > 1 else want.pixel_array[np.newaxis]
    for number, frame in zip(numbers, got):
        if want.BitsAllocated == 1:
            bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[: pixels[0].size]
            assert np.array_equal(bits.reshape(pixels[0].shape), pixels[number - 1])
            continue
        assert frame == np.ascontiguousarray(pixels[number - 1]).tobytes()
    if want.BitsAllocated > 1:
        (stored,) = web.retrieve_instance_frames(
            *place(want), frame_numbers=[1], media_types=(("application/octet-stream", "*"),)
        )
        assert np.array_equal(openjpeg.decode(stored), pixels[0])


def test_metadata_says_what_the_files_say(web, sources):
    for want in sources.values():
        (by_instance,) = [web.retrieve_instance_metadata(*place(want))]
        (by_series,) = web.retrieve_series_metadata(*place(want)[:2])
        (by_study,) = web.retrieve_study_metadata(place(want)[0])
        assert by_instance == by_series == by_study
        got = pydicom.Dataset.from_json(by_instance)
        for element in got:
            if element.VR in ("DS", "IS", "FL", "FD", "US", "LO", "CS", "UI", "PN") and not element.is_empty:
                assert element.value == want[element.tag].value, element.tag


def test_studies_series_and_instances_are_found(web, sources):
    assert len(web.search_for_studies()) == len(NAMES)
    ct = sources["CT_small"]
    (study,) = web.search_for_studies(search_filters={"PatientID": ct.PatientID, "StudyDate": "20040101-20041231"})
    found = pydicom.Dataset.from_json(study)
    assert (found.StudyInstanceUID, found.PatientName) == (ct.StudyInstanceUID, ct.PatientName)
    assert (found.ModalitiesInStudy, found.NumberOfStudyRelatedInstances) == ("CT", 1)
    assert web.search_for_studies(search_filters={"PatientID": "nobody"}) == []
    assert web.search_for_studies(search_filters={"00100010": "compressedsamples^ct*"}) == [study]
    (series,) = web.search_for_series(ct.StudyInstanceUID)
    assert pydicom.Dataset.from_json(series).Modality == "CT"
    assert len(web.search_for_series(search_filters={"Modality": "CT"})) >= 1
    (instance,) = web.search_for_instances(*place(ct)[:2], fields=["ImagePositionPatient"])
    assert pydicom.Dataset.from_json(instance).ImagePositionPatient == ct.ImagePositionPatient
    pages = [web.search_for_studies(limit=2, offset=offset) for offset in range(0, 10, 2)]
    uids = [each["0020000D"]["Value"][0] for page in pages for each in page]
    assert sorted(uids) == sorted(dataset.StudyInstanceUID for dataset in sources.values())


def test_pictures_show_the_window(web, sources):
    ct = sources["CT_small"]
    png = web.retrieve_instance_rendered(*place(ct), media_types=("image/png",), params={"window": "40,400,linear"})
    grey = np.asarray(Image.open(io.BytesIO(png)))
    values = ct.pixel_array * float(ct.RescaleSlope) + float(ct.RescaleIntercept)
    want = np.clip(((values - 39.5) / 399 + 0.5) * 255, 0, 255)
    assert grey.shape == ct.pixel_array.shape and np.abs(grey - want).max() <= 0.51
    rgb = sources["examples_rgb_color"]
    png = web.retrieve_instance_frames_rendered(*place(rgb), frame_numbers=[1], media_types=("image/png",))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), rgb.pixel_array)


def test_what_cannot_be_is_refused(web, url, datastore, sources):
    def status(call, *args, **kwargs):
        with pytest.raises(HTTPError) as raised:
            call(*args, **kwargs)
        return raised.value.response.status_code

    ct = sources["CT_small"]
    assert status(web.retrieve_instance, "9.9", "9.9.1", "9.9.1.1") == 404
    assert status(web.retrieve_instance_frames, *place(ct), frame_numbers=[2]) == 404
    jpeg = (("image/jpeg", "1.2.840.10008.1.2.4.50"),)
    assert status(web.retrieve_instance_frames, *place(ct), frame_numbers=[1], media_types=jpeg) == 406
    assert status(web.search_for_studies, search_filters={"Nonsense": "1"}) == 400
    # Another study than the path's: refused by part.
    other = urllib.request.Request(
        f"{url}/datastore/{datastore}/studies/5.5",
        data=b'--b\r\nContent-Type: application/dicom\r\n\r\n' + encoded(ct) + b"\r\n--b--\r\n",
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(other)
    assert refused.value.code == 409
    answer = pydicom.Dataset.from_json(json.loads(refused.value.read()))
    assert answer.FailedSOPSequence[0].ReferencedSOPInstanceUID == ct.SOPInstanceUID


def encoded(dataset):
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_a_part_that_is_no_dicom_fails_alone_and_a_cut_body_stores_nothing(url, datastore, web, sources):
    ct = sources["CT_small"].copy()
    ct.SOPInstanceUID = ct.file_meta.MediaStorageSOPInstanceUID = "1.9.0.1.2"
    part = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    target = f"{url}/datastore/{datastore}/studies"
    cut = urllib.request.Request(target, data=part + encoded(ct), headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(cut)
    assert refused.value.code == 400
    assert len(web.search_for_instances(*place(ct)[:2])) == 1
    mixed = part + encoded(ct) + b"\r\n" + part + b"no DICOM at all\r\n--b--\r\n"
    with urllib.request.urlopen(urllib.request.Request(target, data=mixed, headers=headers)) as answer:
        assert answer.status == 202
        result = pydicom.Dataset.from_json(json.loads(answer.read()))
    assert len(result.ReferencedSOPSequence) == len(result.FailedSOPSequence) == 1
    assert len(web.search_for_instances(*place(ct)[:2])) == 2


def test_non_primary_image_sets_answer_by_their_id_only(imaging, datastore, web, url, folder, sources):
    ct = sources["CT_small"]
    other = pydicom.dcmread(io.BytesIO(encoded(ct)))
    other.PatientID = "ANOTHER"
    source = folder / "other"
    source.mkdir()
    other.save_as(source / "one.dcm")
    _, summary = import_folder(imaging, datastore, source, folder / "out")
    (made,) = summary["imageSetsSummary"]
    assert made["isPrimary"] is False
    assert web.retrieve_instance(*place(ct)).PatientID == ct.PatientID
    path = "/studies/{}/series/{}/instances/{}".format(*place(ct))
    with urllib.request.urlopen(
        urllib.request.Request(
            f"{url}/datastore/{datastore}{path}?imageSetId={made['imageSetId']}",
            headers={"Accept": "application/dicom; transfer-syntax=*"},
        )
    ) as answer:
        assert answer.headers["Content-Type"] == f"application/dicom; transfer-syntax={HTJ2K}"
        assert pydicom.dcmread(io.BytesIO(answer.read())).PatientID == "ANOTHER"
