"""AHItoDICOMInterface (PyPI), unmodified: it makes its own clients, so it finds the store by the environment alone."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from store_process import client_of, import_folder, running_store

# A process of its own: the package forks, and leaves processes behind when a frame fails.
READ = """
import json, sys
from AHItoDICOMInterface.AHItoDICOM import AHItoDICOM
if __name__ == "__main__":
    datastore, study, out = sys.argv[1:]
    reader = AHItoDICOM(fetcher_process_count=2, dicomizer_process_count=1)
    found = reader.DICOMizeByStudyInstanceUID(datastore_id=datastore, study_instance_uid=study)
    print(json.dumps([reader.saveAsDICOM(each, out) for each in found]))
"""


@pytest.mark.parametrize("name", ["ct-abdomen-30", "mr-t1-brain"])
def test_reads_a_study_from_the_store(tmp_path, shared, name):
    source = shared / "data" / name
    files = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, source.iterdir())}
    study = next(iter(files.values())).StudyInstanceUID
    out = tmp_path / "read"
    script = tmp_path / "read.py"
    script.write_text(READ)
    with running_store(tmp_path / "data", tmp_path, shared / "data") as url:
        client = client_of(url)
        datastore = client.create_datastore(datastoreName="ahi")["datastoreId"]
        properties, _ = import_folder(client, datastore, source, tmp_path / "out")
        assert properties["jobStatus"] == "COMPLETED"
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL_MEDICAL_IMAGING": url,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        }
        done = subprocess.run(
            [sys.executable, script, datastore, study, out], env=environment, capture_output=True, text=True, timeout=240
        )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [True] * len(files)
    read = [pydicom.dcmread(path) for path in pathlib.Path(out).iterdir()]
    assert {dataset.SOPInstanceUID for dataset in read} == set(files)
    for dataset in read:
        want = files[dataset.SOPInstanceUID]
        assert np.array_equal(dataset.pixel_array, want.pixel_array)
        assert set(dataset.keys()) == set(want.keys())
        for element in want:
            if element.keyword != "PixelData":
                assert (dataset[element.tag].value or "") == (element.value or ""), element.keyword
