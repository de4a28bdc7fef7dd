"""CT series that we write (the demo's phantom): dciodvfy finds nothing, pydicom reads values and places."""

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    out = tmp_path_factory.mktemp("ct")
    subprocess.run(["npx", "tsx", "test/interop/make_ct.ts", str(out)], cwd=ROOT, check=True, capture_output=True, timeout=60)
    return sorted(out.glob("*.dcm")), json.loads((out / "volume.json").read_text())


def test_dciodvfy_finds_nothing(series):
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    for path in series[0]:
        done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, timeout=60)
        assert [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line or "Warning" in line] == []


def test_values_and_places(series):
    paths, about = series
    nx, ny, nz = about["shape"]
    volume = np.array(about["data"]).reshape(nz, ny, nx)
    ras = np.array(about["affineRas"]).reshape(4, 4)
    for k, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        hounsfield = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        assert (hounsfield == volume[k]).all()
        row, column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        between_rows, between_columns = map(float, dataset.PixelSpacing)
        for i, j in [(0, 0), (nx - 1, 0), (0, ny - 1), (3, 2)]:
            lps = np.array(dataset.ImagePositionPatient, float) + row * between_columns * i + column * between_rows * j
            expected = (ras @ [i, j, k, 1])[:3] * [-1, -1, 1]
            assert np.abs(lps - expected).max() < 1e-6
        assert str(dataset.PatientName) == "Müller^Jürgen=王^小東"
