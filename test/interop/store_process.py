"""The store alone in a process, without the endpoint around it, for the tests of its clients."""

import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import time

import boto3
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = ROOT / "test" / "support" / "local-store" / "store-server.mjs"
ROLE = "arn:aws:iam::000000000000:role/local"


@contextlib.contextmanager
def running_store(data_dir, *allowed, token=""):
    """Gives the URL of a store on data_dir; ends it as a host would."""
    process = subprocess.Popen(
        ["node", SERVER, data_dir, *allowed],
        env={**os.environ, "STORE_TOKEN": token},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        ready, _, _ = select.select([process.stdout], [], [], 60)
        line = process.stdout.readline() if ready else "{}"
        yield json.loads(line)["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def client_of(url):
    """HealthImaging as anybody makes it: an endpoint and the host-prefix switch."""
    config = Config(inject_host_prefix=False, retries={"total_max_attempts": 1})
    return boto3.client("medical-imaging", endpoint_url=url, config=config)


def import_folder(client, datastore_id, folder, output):
    """Runs an import job to its end; gives its properties and the summary of its manifest (None when it failed)."""
    job = client.start_dicom_import_job(
        datastoreId=datastore_id,
        dataAccessRoleArn=ROLE,
        inputS3Uri=pathlib.Path(folder).as_uri(),
        outputS3Uri=pathlib.Path(output).as_uri(),
    )
    assert job["jobStatus"] == "SUBMITTED"
    deadline = time.monotonic() + 120
    while True:
        properties = client.get_dicom_import_job(datastoreId=datastore_id, jobId=job["jobId"])["jobProperties"]
        if properties["jobStatus"] in ("COMPLETED", "FAILED"):
            break
        assert time.monotonic() < deadline, "the import job does not end"
        time.sleep(0.05)
    manifest = pathlib.Path(output) / f"{datastore_id}-DicomImport-{job['jobId']}" / "job-output-manifest.json"
    summary = json.loads(manifest.read_text())["jobSummary"] if manifest.exists() else None
    return properties, summary


def failures(output):
    """Lines of every failure.ndjson under an output folder."""
    found = []
    for path in pathlib.Path(output).glob("*/FAILURE/failure.ndjson"):
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return found
