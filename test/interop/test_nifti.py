"""NIfTI: what we read and write again is for nibabel the same image, in the same place."""

import subprocess

import nibabel
import numpy as np
import pytest
from conftest import ROOT

OBLIQUE = np.array([[-1.9, -0.3, 0.1, 10], [0.6, -0.95, 0.2, -20], [0.1, 0.1, -3, 5], [0, 0, 0, 1]])


def round_trip(tmp_path, *files):
    out = tmp_path / "out"
    out.mkdir()
    command = ["npx", "tsx", "test/interop/make_nifti.ts", str(out), *map(str, files)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    for file in files:
        before = nibabel.load(file)
        yield before, nibabel.load(out / (file.name.split(".nii")[0] + ".nii.gz"))


def assert_same(before, after):
    assert np.array_equal(np.asarray(before.dataobj).astype(np.float32), np.asarray(after.dataobj).astype(np.float32))
    assert np.abs(before.affine - after.affine).max() < 1e-5
    assert after.header.get_xyzt_units()[0] == "mm"
    if after.header["qform_code"] > 0:
        assert np.abs(after.get_qform() - after.affine).max() < 1e-4


def test_shared_images(shared, tmp_path):
    names = ["ct-abdomen-30.nii.gz", "ct-abdomen-30.spleen-reference.nii.gz", "mr-t1-brain.nii.gz"]
    for before, after in round_trip(tmp_path, *(shared / "data" / name for name in names)):
        assert_same(before, after)
        assert after.get_data_dtype() == before.get_data_dtype()
        assert after.header["qform_code"] > 0


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_types_orders_and_forms(kind, tmp_path):
    files = []
    data = np.arange(-60, 60).reshape(4, 5, 6)
    for dtype in ["u1", "i1", "<i2", ">i2", "<u2", "<i4", ">i4", "<f4", ">f4", "<f8", "<i8", ">u8"]:
        values = (data if np.dtype(dtype).kind in "if" else data + 60).astype(dtype)
        header = kind.header_class(endianness=">" if dtype[0] == ">" else "<")
        image = kind(values, OBLIQUE, header, dtype=values.dtype)
        path = tmp_path / f"type-{len(files)}.nii"
        nibabel.save(image, path)
        files.append(path)
    for name, sform, qform in [("sform", 1, 0), ("qform", 0, 1), ("none", 0, 0), ("both", 2, 1)]:
        rotation = np.diag([2.0, -1.5, 3.0, 1])
        rotation[:3, 3] = [1, 2, 3]
        image = kind(data.astype("i2"), None)
        image.header.set_zooms([2, 1.5, 3])
        image.set_sform(OBLIQUE if name == "both" else rotation, sform)
        image.set_qform(rotation, qform)
        path = tmp_path / f"{name}.nii.gz"
        nibabel.save(image, path)
        files.append(path)
    scaled = kind(data.astype("i2"), OBLIQUE)
    scaled.header.set_slope_inter(0.25, -7)
    nibabel.save(scaled, tmp_path / "scaled.nii.gz")
    files.append(tmp_path / "scaled.nii.gz")
    pairs = list(round_trip(tmp_path, *files))
    assert len(pairs) == 17
    for before, after in pairs:
        assert_same(before, after)
