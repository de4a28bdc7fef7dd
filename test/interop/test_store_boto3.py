"""boto3, unmodified, against the store: every operation it offers, and every frame judged by pydicom."""

import gzip
import json
import pathlib
import zlib

import numpy as np
import openjpeg
import pydicom
import pytest
from botocore.exceptions import ClientError
from pydicom.encaps import generate_frames
from pydicom.uid import generate_uid
from store_process import ROLE, client_of, failures, import_folder, running_store

HTJ2K = "1.2.840.10008.1.2.4.202"
RAW = "1.2.840.10008.1.2.1"
NONE = "0" * 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def client(folder, shared):
    with running_store(folder / "data", folder, shared / "data") as url:
        yield client_of(url)


@pytest.fixture(scope="module")
def datastore(client):
    return client.create_datastore(datastoreName="boto3", tags={"team": "imaging"})["datastoreId"]


def documents(client, datastore_id):
    """(image set id, document) of every image set, over all pages."""
    token = {}
    while True:
        page = client.search_image_sets(datastoreId=datastore_id, maxResults=2, **token)
        for summary in page["imageSetsMetadataSummaries"]:
            answer = client.get_image_set_metadata(datastoreId=datastore_id, imageSetId=summary["imageSetId"])
            assert (answer["contentType"], answer["contentEncoding"]) == ("application/json", "gzip")
            yield summary["imageSetId"], json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))
        if "nextToken" not in page:
            return
        token = {"nextToken": page["nextToken"]}


def instances(document):
    for series in document["Study"]["Series"].values():
        yield from series["Instances"].items()


def stored_frame(client, datastore_id, image_set_id, frame_id):
    answer = client.get_image_frame(
        datastoreId=datastore_id, imageSetId=image_set_id, imageFrameInformation={"imageFrameId": frame_id}
    )
    assert answer["contentType"] == "application/octet-stream"
    return answer["imageFrameBlob"].read()


def source_frames(dataset):
    """Frames as pydicom sees them, not converted to another colour space."""
    pixels = pydicom.pixels.pixel_array(dataset, raw=True) if dataset.get("SamplesPerPixel", 1) > 1 else dataset.pixel_array
    return pixels if int(dataset.get("NumberOfFrames") or 1) > 1 else pixels[np.newaxis]


def check_instance(client, datastore_id, image_set_id, instance, dataset):
    """Every stored frame decodes to pydicom's pixels; checksum, range and size are told truly. Gives the count."""
    frames = source_frames(dataset)
    assert len(instance["ImageFrames"]) == len(frames)
    for told, want in zip(instance["ImageFrames"], frames):
        stored = stored_frame(client, datastore_id, image_set_id, told["ID"])
        want = np.ascontiguousarray(want).astype(want.dtype.newbyteorder("<"))
        if instance.get("StoredTransferSyntaxUID", HTJ2K) == HTJ2K:
            got = openjpeg.decode(stored)
            assert got.dtype == want.dtype
        elif dataset.BitsAllocated == 1:
            bits = np.unpackbits(np.frombuffer(stored, np.uint8), bitorder="little")
            got = bits[: want.size].reshape(want.shape)
        else:
            assert instance["StoredTransferSyntaxUID"] == RAW
            got = np.frombuffer(stored, want.dtype).reshape(want.shape)
        assert np.array_equal(got, want)
        full = told["PixelDataChecksumFromBaseToFullResolution"][-1]
        assert (full["Width"], full["Height"]) == (dataset.Columns, dataset.Rows)
        decoded = stored if dataset.BitsAllocated == 1 else want.tobytes()
        assert full["Checksum"] == zlib.crc32(decoded)
        assert told["FrameSizeInBytes"] == len(decoded)
        assert (told["MinPixelValue"], told["MaxPixelValue"]) == (want.min(), want.max())
    return len(frames)


def identified(source, target):
    """Copies a series of the shared data; one of them came with empty UIDs, and the service demands them."""
    target.mkdir()
    study, series = generate_uid(), generate_uid()
    for path in sorted(source.iterdir()):
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID = dataset.get("StudyInstanceUID") or study
        dataset.SeriesInstanceUID = dataset.get("SeriesInstanceUID") or series
        dataset.SOPInstanceUID = dataset.get("SOPInstanceUID") or dataset.file_meta.MediaStorageSOPInstanceUID
        dataset.SOPClassUID = dataset.get("SOPClassUID") or dataset.file_meta.MediaStorageSOPClassUID
        dataset.save_as(target / path.name)
    return target


@pytest.mark.parametrize("name", ["ct-abdomen-30", "ct-thorax-20", "mr-t1-brain"])
def test_real_series_come_back_exactly(client, folder, shared, name):
    source = identified(shared / "data" / name, folder / name)
    datastore_id = client.create_datastore(datastoreName=name)["datastoreId"]
    properties, summary = import_folder(client, datastore_id, source, folder / "out" / name)
    assert properties["jobStatus"] == "COMPLETED"
    files = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, source.iterdir())}
    assert summary["numberOfImportedFiles"] == summary["numberOfScannedFiles"] == len(files)
    checked = 0
    for image_set_id, document in documents(client, datastore_id):
        for uid, instance in instances(document):
            assert "StoredTransferSyntaxUID" not in instance
            checked += check_instance(client, datastore_id, image_set_id, instance, files[uid])
    assert checked == len(files)


# pydicom's own test files (those that it brings along), one of each kind, and the syntax that they are stored in.
KINDS = {
    **dict.fromkeys(
        [
            "CT_small",
            "GDCMJ2K_TextGBR",
            "J2K_pixelrep_mismatch",
            "JPEGLSNearLossless_08",
            "JPEGLSNearLossless_16",
            "MR_small_RLE",
            "MR_small_bigendian",
            "MR_small_expb",
            "MR_small_implicit",
            "MR_small_jp2klossless",
            "MR_small_jpeg_ls_lossless",
            "MR_small_padded",
            "SC_rgb_jls_lossy_line",
            "SC_rgb_jls_lossy_sample",
            "SC_rgb_jpeg_gdcm",
            "SC_rgb_rle",
            "SC_rgb_rle_2frame",
            "SC_rgb_small_odd",
            "SC_rgb_small_odd_big_endian",
            "examples_jpeg2k",
            "examples_overlay",
            "examples_palette",
            "examples_rgb_color",
            "image_dfl",
        ],
        HTJ2K,
    ),
    **dict.fromkeys(
        [
            "SC_rgb_rle_16bit",
            "SC_rgb_rle_16bit_2frame",
            "SC_rgb_rle_32bit",
            "SC_rgb_rle_32bit_2frame",
            "SC_ybr_full_422_uncompressed",
            "liver_1frame",
            "liver_expb_1frame",
            "rtdose",
            "rtdose_expb",
        ],
        RAW,
    ),
    **dict.fromkeys(["JPEG2000", "SC_rgb_gdcm_KY"], "1.2.840.10008.1.2.4.91"),
    **dict.fromkeys(["SC_rgb_dcmtk_+eb+cr", "SC_rgb_small_odd_jpeg", "examples_ybr_color"], "1.2.840.10008.1.2.4.50"),
    **dict.fromkeys(["reportsi", "rtplan", "test-SR", "waveform_ecg", "priv_SQ", "UN_sequence"], None),
}


def test_pydicoms_test_files_come_back_exactly(client, folder):
    source = folder / "kinds"
    source.mkdir()
    files = {}
    for name in KINDS:
        path = pathlib.Path(pydicom.__file__).parent / "data" / "test_files" / f"{name}.dcm"
        dataset = pydicom.dcmread(path)
        # Several of them share UIDs, or contradict each other in the patient: each is a study of its own here.
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (generate_uid() for _ in range(3))
        dataset.SOPClassUID = dataset.get("SOPClassUID") or "1.2.840.10008.5.1.4.1.1.7"
        dataset.save_as(source / path.name, enforce_file_format=True)
        files[dataset.SOPInstanceUID] = (name, pydicom.dcmread(source / path.name))
    datastore_id = client.create_datastore(datastoreName="kinds")["datastoreId"]
    _, summary = import_folder(client, datastore_id, source, folder / "out" / "kinds")
    assert failures(folder / "out" / "kinds") == []
    assert summary["numberOfGeneratedImageSets"] == len(files) == len(KINDS)
    seen = set()
    for image_set_id, document in documents(client, datastore_id):
        for uid, instance in instances(document):
            name, dataset = files[uid]
            seen.add(name)
            if KINDS[name] is None:
                assert instance["ImageFrames"] == [] and "PixelData" not in instance["DICOM"], name
                continue
            assert instance.get("StoredTransferSyntaxUID", HTJ2K) == KINDS[name], name
            if KINDS[name] in (HTJ2K, RAW) and dataset.PhotometricInterpretation != "YBR_FULL_422":
                check_instance(client, datastore_id, image_set_id, instance, dataset)
                continue
            # Kept as received: the very bytes.
            encapsulated = dataset.file_meta.TransferSyntaxUID.is_encapsulated
            received = list(generate_frames(dataset.PixelData)) if encapsulated else [dataset.PixelData]
            stored = [stored_frame(client, datastore_id, image_set_id, each["ID"]) for each in instance["ImageFrames"]]
            assert [each.rstrip(b"\0") for each in stored] == [each.rstrip(b"\0") for each in received], name
    assert seen == set(KINDS)


def test_data_stores_are_listed_by_page(client, datastore):
    properties = client.get_datastore(datastoreId=datastore)["datastoreProperties"]
    assert (properties["datastoreName"], properties["datastoreStatus"]) == ("boto3", "ACTIVE")
    pages = client.get_paginator("list_datastores").paginate(PaginationConfig={"PageSize": 1})
    listed = [each["datastoreId"] for page in pages for each in page["datastoreSummaries"]]
    assert datastore in listed and len(listed) == len(set(listed))


def test_tags(client, datastore):
    arn = client.get_datastore(datastoreId=datastore)["datastoreProperties"]["datastoreArn"]
    client.tag_resource(resourceArn=arn, tags={"site": "north"})
    client.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"site": "north"}


def test_the_life_of_an_image_set(client, folder, shared):
    datastore_id = client.create_datastore(datastoreName="life")["datastoreId"]
    source = shared / "data" / "ct-abdomen-30"
    for version in ("1", "2"):
        properties, summary = import_folder(client, datastore_id, source, folder / "out" / f"life{version}")
        (made,) = summary["imageSetsSummary"]
        assert (str(made["imageSetVersion"]), made["isPrimary"]) == (version, True)
    image_set = {"datastoreId": datastore_id, "imageSetId": made["imageSetId"]}
    got = client.get_image_set(**image_set)
    assert (got["versionId"], got["imageSetState"], got["imageSetWorkflowStatus"]) == ("2", "ACTIVE", "UPDATED")
    assert got["imageSetArn"].endswith(f"datastore/{datastore_id}/imageset/{made['imageSetId']}")
    assert client.get_image_set(**image_set, versionId="1")["imageSetWorkflowStatus"] == "CREATED"
    versions = client.list_image_set_versions(**image_set)["imageSetPropertiesList"]
    assert [each["versionId"] for each in versions] == ["2", "1"]
    jobs = client.list_dicom_import_jobs(datastoreId=datastore_id, jobStatus="COMPLETED")["jobSummaries"]
    assert jobs[0]["jobId"] == properties["jobId"] and len(jobs) == 2

    patient = {"operator": "EQUAL", "values": [{"DICOMPatientId": "TS-EXAMPLE-CT-SM"}]}
    lately = {"operator": "BETWEEN", "values": [{"updatedAt": got["updatedAt"]}, {"updatedAt": got["updatedAt"]}]}
    criteria = {"filters": [patient, lately], "sort": {"sortField": "createdAt", "sortOrder": "ASC"}}
    found = client.search_image_sets(datastoreId=datastore_id, searchCriteria=criteria)
    (summary,) = found["imageSetsMetadataSummaries"]
    assert (summary["imageSetId"], summary["version"]) == (made["imageSetId"], 2)
    assert summary["DICOMTags"]["DICOMSeriesModality"] == "CT"

    with pytest.raises(ClientError) as refused:
        client.delete_datastore(datastoreId=datastore_id)
    assert refused.value.response["Error"]["Code"] == "ConflictException"
    assert client.delete_image_set(**image_set)["imageSetWorkflowStatus"] == "DELETING"
    assert client.search_image_sets(datastoreId=datastore_id)["imageSetsMetadataSummaries"] == []
    assert client.delete_datastore(datastoreId=datastore_id)["datastoreStatus"] == "DELETING"


@pytest.mark.parametrize(
    "call, code, status",
    [
        (lambda c, d: c.get_datastore(datastoreId=NONE), "ResourceNotFoundException", 404),
        (lambda c, d: c.get_datastore(datastoreId="X"), "ValidationException", 400),
        (lambda c, d: c.get_image_set(datastoreId=d, imageSetId=NONE), "ResourceNotFoundException", 404),
        (
            lambda c, d: c.get_image_frame(
                datastoreId=d, imageSetId=NONE, imageFrameInformation={"imageFrameId": NONE}
            ),
            "ResourceNotFoundException",
            404,
        ),
        (lambda c, d: c.get_dicom_import_job(datastoreId=d, jobId=NONE), "ResourceNotFoundException", 404),
        (
            lambda c, d: c.start_dicom_import_job(
                datastoreId=d, dataAccessRoleArn=ROLE, inputS3Uri="s3://bucket/in/", outputS3Uri="s3://bucket/out/"
            ),
            "AccessDeniedException",
            403,
        ),
    ],
)
def test_errors_have_the_service_s_names(client, datastore, call, code, status):
    with pytest.raises(ClientError) as raised:
        call(client, datastore)
    response = raised.value.response
    assert response["Error"]["Code"] == code
    assert response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RequestId"]
