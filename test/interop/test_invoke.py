"""The whole way through boto3: an image set in, DICOM out, judged by pydicom and highdicom."""

import base64
import io
import json
import subprocess
import zipfile

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from botocore.exceptions import ClientError
from conftest import run_cli

SPLEEN = {
    "value": 1,
    "label": "Spleen",
    "category": ["123037004", "SCT", "Anatomical Structure"],
    "propertyType": ["78961009", "SCT", "Spleen"],
}
ALL_OUTPUTS = {"outputs": [{"type": "dicom-seg", "segments": [SPLEEN]}, {"type": "nifti"}, {"type": "json"}, {"type": "png"}]}


def invoke(runtime, target, body, **more):
    response = runtime.invoke_endpoint(
        EndpointName="imaging", TargetModel=target, ContentType="application/json", Body=json.dumps(body), **more
    )
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
    return json.loads(response["Body"].read())


@pytest.fixture(scope="session")
def abdomen(import_folder, datastore, shared):
    (image_set,) = import_folder(shared / "data" / "ct-abdomen-30")
    return {"datastoreId": datastore, "imageSetId": image_set}


@pytest.fixture(scope="session")
def answer(runtime, abdomen, pack_model, endpoint, shared):
    target = pack_model(shared / "models" / "spleen_ct_demo", "spleen", ALL_OUTPUTS)
    output = f"{(endpoint.results / 'spleen').as_uri()}/"
    return invoke(runtime, target, {"inputs": [abdomen], "output": {"uri": output}})


def path_of(answer, kind):
    (output,) = [each for each in answer["outputs"] if each["type"] == kind]
    assert output["uri"].startswith("file:///")
    return output["uri"].removeprefix("file://")


def labels_in_patient_space(volume_affine_lps, mask):
    """Centres of the set voxels in LPS millimetres, rounded to a tenth, as a set."""
    indices = np.argwhere(mask)
    points = indices @ volume_affine_lps[:3, :3].T + volume_affine_lps[:3, 3]
    return set(map(tuple, np.round(points * 10).astype(int)))


def test_answer_describes_its_outputs(answer):
    assert {each["type"] for each in answer["outputs"]} == {"dicom-seg", "nifti", "json", "png"}
    assert answer["measurements"][0]["segment"] == "Spleen"
    for output in answer["outputs"]:
        with open(output["uri"].removeprefix("file://"), "rb") as file:
            assert len(file.read()) == output["bytes"]


def test_result_has_the_voxels_that_monai_finds(answer):
    # ../shared/README.md: spleen_ct_demo on ct-abdomen-30 gives 9,745 voxels.
    voxels = answer["measurements"][0]["voxels"]
    assert abs(voxels - 9745) <= 0.0001 * 122 * 101 * 30


def test_seg_equals_nifti_voxel_by_voxel_in_patient_space(answer):
    nifti = nibabel.load(path_of(answer, "nifti"))
    labels = np.asarray(nifti.dataobj)
    affine_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ nifti.affine
    expected = labels_in_patient_space(affine_lps, labels == 1)
    seg = highdicom.seg.segread(path_of(answer, "dicom-seg"))
    volume = seg.get_volume(combine_segments=True)
    assert expected == labels_in_patient_space(volume.affine, volume.array == 1)
    assert len(expected) == answer["measurements"][0]["voxels"]


def test_seg_equals_nifti_by_pydicom_alone(answer):
    """The same once more with nothing but the frames, their positions and their spacing."""
    ds = pydicom.dcmread(path_of(answer, "dicom-seg"))
    frames = ds.pixel_array
    common = ds.SharedFunctionalGroupsSequence[0]
    across = np.array(common.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    row_mm, column_mm = map(float, common.PixelMeasuresSequence[0].PixelSpacing)
    found = set()
    for frame, group in zip(frames, ds.PerFrameFunctionalGroupsSequence, strict=True):
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        rows, columns = np.nonzero(frame)
        points = origin + columns[:, None] * column_mm * across[:3] + rows[:, None] * row_mm * across[3:]
        found |= set(map(tuple, np.round(points * 10).astype(int)))
    nifti = nibabel.load(path_of(answer, "nifti"))
    affine_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ nifti.affine
    assert found == labels_in_patient_space(affine_lps, np.asarray(nifti.dataobj) == 1)


def test_seg_belongs_to_its_patient_and_study(answer, shared):
    source = pydicom.dcmread(shared / "data" / "ct-abdomen-30" / "CT0001.dcm")
    seg = pydicom.dcmread(path_of(answer, "dicom-seg"))
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "StudyDate"):
        assert getattr(seg, keyword) == getattr(source, keyword), keyword
    assert seg.SeriesInstanceUID != source.SeriesInstanceUID
    assert seg.Modality == "SEG"
    sources = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in source_files(shared)}
    referenced = {
        each.ReferencedSOPInstanceUID for each in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referenced and referenced <= sources


def source_files(shared):
    return sorted((shared / "data" / "ct-abdomen-30").iterdir())


def test_dciodvfy_finds_no_error(answer):
    judged = subprocess.run(["dciodvfy", path_of(answer, "dicom-seg")], capture_output=True, text=True)
    errors = [line for line in judged.stderr.splitlines() if line.startswith("Error")]
    assert errors == []
    assert "Segmentation" in judged.stderr


def test_repeating_a_request_gives_the_same_result(runtime, abdomen, answer, endpoint):
    output = f"{(endpoint.results / 'spleen').as_uri()}/"
    before = pydicom.dcmread(path_of(answer, "dicom-seg"))
    again = invoke(runtime, "spleen.tar.gz", {"inputs": [abdomen], "output": {"uri": output}})
    assert again["inferenceId"] == answer["inferenceId"]
    rest = [{o["type"]: o["sha256"] for o in each["outputs"] if o["type"] != "dicom-seg"} for each in (again, answer)]
    assert rest[0] == rest[1]
    # The SEG tells when it was made; it is the same object all the same, and all else in it is equal.
    after = pydicom.dcmread(path_of(again, "dicom-seg"))
    times = ("ContentDate", "ContentTime", "SeriesDate", "SeriesTime", "InstanceCreationDate", "InstanceCreationTime")
    for ds in (before, after):
        for keyword in times:
            ds.pop(pydicom.datadict.tag_for_keyword(keyword), None)
        for item in ds.get("ContributingEquipmentSequence", []):
            del item.ContributionDateTime
    assert before == after


def test_workshops_flat_form_and_files_in_the_answer(runtime, abdomen, answer):
    plain = invoke(runtime, "spleen.tar.gz", abdomen, Accept="application/json")
    (seg,) = [each for each in plain["outputs"] if each["type"] == "dicom-seg"]
    ds = pydicom.dcmread(io.BytesIO(base64.b64decode(seg["base64"])))
    original = pydicom.dcmread(path_of(answer, "dicom-seg"))
    assert np.array_equal(ds.pixel_array, original.pixel_array)


def test_errors_arrive_as_sagemaker_gives_them(runtime, abdomen, datastore):
    with pytest.raises(ClientError) as unknown:
        invoke(runtime, "no-such-model.tar.gz", abdomen)
    assert unknown.value.response["Error"]["Code"] == "ModelError"
    assert unknown.value.response["OriginalStatusCode"] == 404
    error = json.loads(unknown.value.response["OriginalMessage"])["error"]
    assert error["code"] == "model_not_found"
    with pytest.raises(ClientError) as missing:
        invoke(runtime, "spleen.tar.gz", {"datastoreId": datastore, "imageSetId": "0" * 32})
    assert missing.value.response["OriginalStatusCode"] == 422
    assert json.loads(missing.value.response["OriginalMessage"])["error"]["code"] == "input_not_found"


def test_output_outside_the_allowed_folders_is_refused(runtime, abdomen, tmp_path):
    with pytest.raises(ClientError) as refused:
        invoke(runtime, "spleen.tar.gz", {"inputs": [abdomen], "output": {"uri": f"{tmp_path.as_uri()}/"}})
    assert refused.value.response["OriginalStatusCode"] == 403
    assert list(tmp_path.iterdir()) == []


def test_a_folder_as_input_gives_the_same_labels(runtime, answer, shared):
    body = {"inputs": [{"uri": f"{(shared / 'data' / 'ct-abdomen-30').as_uri()}/"}]}
    from_folder = invoke(runtime, "spleen.tar.gz", body)
    assert from_folder["measurements"] == answer["measurements"]


def test_a_model_put_in_the_folder_answers_without_a_restart(runtime, abdomen, pack_model, shared):
    name = "added-later.tar.gz"
    with pytest.raises(ClientError):
        invoke(runtime, name, abdomen)
    pack_model(shared / "models" / "spleen_ct_full", "added-later", {"name": "Full spleen"})
    later = invoke(runtime, name, abdomen)
    # ../shared/README.md: spleen_ct_full on ct-abdomen-30 gives 8,812 voxels.
    assert abs(later["measurements"][0]["voxels"] - 8812) <= 0.0001 * 122 * 101 * 30


def test_the_cli_invokes_like_the_sdk(endpoint, abdomen, answer, tmp_path):
    told, _ = run_cli(
        "invoke", "--endpoint-url", endpoint.url, "--target-model", "spleen.tar.gz", "--output", tmp_path.parent / "nowhere",
        "--datastore", abdomen["datastoreId"], "--image-set", abdomen["imageSetId"], check=False,
    )  # fmt: skip
    assert told["error"]["code"] == "forbidden"
    given, _ = run_cli(
        "invoke", "--endpoint-url", endpoint.url, "--target-model", "spleen.tar.gz", "--output", endpoint.results / "cli",
        "--datastore", abdomen["datastoreId"], "--image-set", abdomen["imageSetId"],
    )  # fmt: skip
    assert given["measurements"] == answer["measurements"]


def test_ahi_to_dicom_interface_reads_the_study(endpoint, abdomen, shared):
    from AHItoDICOMInterface.AHItoDICOM import AHItoDICOM

    helper = AHItoDICOM(AHI_endpoint=endpoint.url, fetcher_process_count=2, dicomizer_process_count=1)
    datasets = helper.DICOMizeImageSet(abdomen["datastoreId"], abdomen["imageSetId"])
    sources = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, source_files(shared))}
    assert len(datasets) == len(sources) == 30
    for ds in datasets:
        source = sources[ds["SOPInstanceUID"].value]
        shape = (source.Rows, source.Columns)
        pixels = np.frombuffer(ds["PixelData"].value, dtype=source.pixel_array.dtype).reshape(shape)
        assert np.array_equal(pixels, source.pixel_array)


@pytest.fixture(scope="session")
def streamed(pack_model, shared):
    return pack_model(shared / "models" / "spleen_ct_demo", "streamed", ALL_OUTPUTS)


# InvokeEndpointWithResponseStream has no TargetModel: the request itself names its model.
def test_response_stream_tells_its_progress_and_ends_with_the_answer(runtime, abdomen, streamed):
    response = runtime.invoke_endpoint_with_response_stream(
        EndpointName="imaging",
        ContentType="application/json",
        Accept="application/jsonlines",
        Body=json.dumps({"model": streamed, "inputs": [abdomen]}),
    )
    assert response["ContentType"] == "application/jsonlines"
    parts = [event["PayloadPart"]["Bytes"] for event in response["Body"]]
    *progress, answer = [json.loads(line) for line in b"".join(parts).splitlines()]
    assert len(parts) > len(progress) > 0
    fractions = [line["progress"]["fraction"] for line in progress]
    assert fractions == sorted(fractions) and all(0 <= fraction <= 1 for fraction in fractions)
    # ../shared/README.md: spleen_ct_demo on ct-abdomen-30 gives 9,745 voxels.
    assert abs(answer["measurements"][0]["voxels"] - 9745) <= 0.0001 * 122 * 101 * 30
    (segmentation,) = [each for each in answer["outputs"] if each["type"] == "dicom-seg"]
    assert highdicom.seg.segread(io.BytesIO(base64.b64decode(segmentation["base64"]))).number_of_segments == 1


def test_response_stream_carries_an_answer_as_it_is(runtime, abdomen, streamed):
    response = runtime.invoke_endpoint_with_response_stream(
        EndpointName="imaging",
        ContentType="application/json",
        Accept="application/zip",
        Body=json.dumps({"model": streamed, "inputs": [abdomen]}),
    )
    body = b"".join(event["PayloadPart"]["Bytes"] for event in response["Body"])
    names = zipfile.ZipFile(io.BytesIO(body)).namelist()
    assert {"result.json", "dicom-seg.dcm"} <= set(names)


def test_response_stream_fails_before_it_begins_with_the_error_of_the_model(runtime, abdomen):
    with pytest.raises(ClientError) as failed:
        runtime.invoke_endpoint_with_response_stream(
            EndpointName="imaging",
            ContentType="application/json",
            Accept="application/jsonlines",
            Body=json.dumps({"model": "absent", "inputs": [abdomen]}),
        )
    assert failed.value.response["Error"]["Code"] == "ModelError"
    assert failed.value.response["OriginalStatusCode"] == 404
