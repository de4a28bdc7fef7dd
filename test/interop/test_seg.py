"""DICOM SEG: dciodvfy finds nothing, pydicom and highdicom read every voxel in its place in patient space."""

import json
import shutil
import subprocess

import highdicom
import numpy as np
import pydicom
import pytest
from conftest import ROOT

SERIES = ["ct-abdomen-30", "mr-t1-brain"]


@pytest.fixture(scope="session")
def made(shared, tmp_path_factory):
    """Makes a segmentation on a shared series; gives (file, grid as (segment, k, j, i), what it was made of)."""
    known = {}

    def run(series, kind):
        if (series, kind) not in known:
            out = tmp_path_factory.mktemp("seg")
            command = ["npx", "tsx", "test/interop/make_seg.ts", str(shared / "data" / series), str(out), kind]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
            about = json.loads((out / "grid.json").read_text())
            raw = np.fromfile(out / "grid.raw", np.uint8)
            columns, rows, slices = about["shape"]
            if kind == "masks":
                masks = raw.reshape(len(about["values"]), slices, rows, columns) > 0
            else:
                masks = np.stack([raw.reshape(slices, rows, columns) == value for value in about["values"]])
            known[series, kind] = (out / "seg.dcm", masks, about)
        return known[series, kind]

    return run


def source_datasets(shared, series, about):
    by_uid = {}
    for path in (shared / "data" / series).iterdir():
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        by_uid[dataset.SOPInstanceUID] = dataset
    return [by_uid[uid] for uid in about["sources"]]


@pytest.mark.parametrize("kind", ["labels", "masks", "empty"])
@pytest.mark.parametrize("series", SERIES)
def test_dciodvfy_finds_nothing(made, series, kind):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    path, _, _ = made(series, kind)
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, timeout=300)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line or "Warning" in line]
    assert said == []


@pytest.mark.parametrize("kind", ["labels", "masks"])
@pytest.mark.parametrize("series", SERIES)
def test_pydicom_reads_every_frame_in_its_place(made, shared, series, kind):
    path, masks, about = made(series, kind)
    seg = pydicom.dcmread(path)
    sources = source_datasets(shared, series, about)
    at = {source.SOPInstanceUID: k for k, source in enumerate(sources)}
    frames = seg.pixel_array.astype(bool)
    assert len(frames) == seg.NumberOfFrames == about["numberOfFrames"]
    orientation = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    spacing = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    read = np.zeros_like(masks)
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence):
        image = groups.DerivationImageSequence[0].SourceImageSequence[0]
        k = at[image.ReferencedSOPInstanceUID]
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        # The source's own digits, not only its numbers.
        assert [str(v) for v in position] == [str(v) for v in sources[k].ImagePositionPatient]
        assert [str(v) for v in orientation] == [str(v) for v in sources[k].ImageOrientationPatient]
        assert [str(v) for v in spacing] == [str(v) for v in sources[k].PixelSpacing]
        segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        read[segment - 1, k] = frame
    assert (read == masks).all()


@pytest.mark.parametrize("kind", ["labels", "masks"])
@pytest.mark.parametrize("series", SERIES)
def test_highdicom_places_every_voxel(made, shared, series, kind):
    path, masks, about = made(series, kind)
    seg = highdicom.seg.segread(str(path))
    sources = source_datasets(shared, series, about)
    for number, label in enumerate(about["labels"], 1):
        assert seg.get_segment_description(number).SegmentLabel == label
        volume = seg.get_volume(segment_numbers=[number], combine_segments=False)
        array = np.asarray(volume.array)[..., 0] > 0
        k, j, i = np.nonzero(masks[number - 1])
        indices = voxels_at(volume.affine, source_world(sources, k, j, i))
        assert array.sum() == len(indices)
        assert array[tuple(indices.T)].all()
    if kind == "labels":
        pixels = seg.get_pixels_by_source_instance(
            source_sop_instance_uids=about["sources"], ignore_spatial_locations=False, assert_missing_frames_are_empty=True
        )
        assert (np.moveaxis(pixels > 0, -1, 0) == masks).all()


def voxels_at(affine, points):
    """Indices of the voxels whose centres lie at these points; every point must be one."""
    exact = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    indices = np.round(exact).astype(int)
    assert np.abs(exact - indices).max() < 1e-3
    assert indices.min() >= 0
    return indices


def source_world(sources, k, j, i):
    """LPS millimetres by each slice's own attributes (PS3.3 C.7.6.2.1.1)."""
    positions = np.array([source.ImagePositionPatient for source in sources], float)
    row, column = np.array(sources[0].ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, sources[0].PixelSpacing)
    return positions[k] + np.outer(i * between_columns, row) + np.outer(j * between_rows, column)


@pytest.mark.parametrize("series", SERIES)
def test_patient_and_study_are_the_sources(made, shared, series):
    path, _, about = made(series, "labels")
    seg = pydicom.dcmread(path)
    source = source_datasets(shared, series, about)[0]
    for keyword in ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"]:
        assert seg.get(keyword) == (source.get(keyword) or seg[keyword].empty_value), keyword
    assert seg.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert seg.SpecificCharacterSet == "ISO_IR 192"
    assert seg.SegmentSequence[1].SegmentLabel == "Ünïcode 脾臓"
    references = {item.ReferencedSOPInstanceUID for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert references == set(about["sources"])


def test_an_empty_result_is_a_valid_object(made):
    path, _, about = made("ct-abdomen-30", "empty")
    seg = highdicom.seg.segread(str(path))
    assert about["emptySegments"] == [1, 2, 3]
    assert seg.NumberOfFrames == 1
    assert len(seg.SegmentSequence) == 3
    assert not seg.pixel_array.any()
