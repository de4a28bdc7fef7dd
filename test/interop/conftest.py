"""One `map-endpoint local` for the whole suite, and clients that are given nothing but what the README says.

The suite needs `npm run build` before it and ../shared beside the checkout (MAP_ENDPOINT_SHARED names another place).
"""

import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import time

import boto3
import pytest
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("MAP_ENDPOINT_SHARED", ROOT.parent / "shared"))
CLI = ["node", str(ROOT / "dist" / "cli" / "map-endpoint.js")]

# The SDKs send nothing without a region and credentials; the local endpoint asks for none.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("AWS_ACCESS_KEY_ID", "local")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "local")
# AHItoDICOMInterface makes its own client: the switch reaches it by the environment only.
os.environ["AWS_DISABLE_HOST_PREFIX_INJECTION"] = "true"


@pytest.fixture(scope="session")
def shared():
    if not SHARED.exists():
        pytest.skip("../shared is absent")
    return SHARED


def run_cli(*args, check=True):
    """Runs a command of the CLI with --json and gives (its JSON, the finished process)."""
    done = subprocess.run([*CLI, *map(str, args), "--json"], capture_output=True, text=True, timeout=300)
    if check and done.returncode != 0:
        raise AssertionError(f"map-endpoint {args[0]} ended with {done.returncode}: {done.stderr}")
    return (json.loads(done.stdout) if done.stdout else None), done


class Endpoint:
    """A running `map-endpoint local` with its folders."""

    def __init__(self, folder: pathlib.Path):
        self.models = folder / "models"
        self.results = folder / "results"
        self.data = folder / "data"
        for each in (self.models, self.results, self.data):
            each.mkdir(parents=True)
        self.log = open(folder / "endpoint.log", "w+")
        self.process = subprocess.Popen(
            [*CLI, "local", "--json", "--port", "0", "--models", self.models, "--data", self.data]
            + ["--allow", str(self.results), "--allow", str(SHARED)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.stop()
            self.log.seek(0)
            raise AssertionError(f"map-endpoint local did not start: {self.log.read()[-4000:]}")
        self.url = json.loads(line)["url"]

    def stop(self):
        """Ends the endpoint as a host would; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory, shared):
    running = Endpoint(tmp_path_factory.mktemp("endpoint"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def runtime(endpoint):
    """SageMaker Runtime with nothing set but the endpoint (and no hidden second try)."""
    config = Config(read_timeout=300, retries={"max_attempts": 0})
    return boto3.client("sagemaker-runtime", endpoint_url=endpoint.url, config=config)


@pytest.fixture(scope="session")
def imaging(endpoint):
    """HealthImaging with nothing set but the endpoint and the host-prefix switch."""
    return boto3.client("medical-imaging", endpoint_url=endpoint.url, config=Config(inject_host_prefix=False))


@pytest.fixture(scope="session")
def datastore(imaging):
    made = imaging.create_datastore(datastoreName="interop")
    deadline = time.monotonic() + 30
    while imaging.get_datastore(datastoreId=made["datastoreId"])["datastoreProperties"]["datastoreStatus"] != "ACTIVE":
        assert time.monotonic() < deadline, "the data store does not become ACTIVE"
        time.sleep(0.1)
    return made["datastoreId"]


@pytest.fixture(scope="session")
def import_folder(imaging, datastore, endpoint):
    """Imports a folder by an import job, once for the session, and gives the ids of the image sets made."""
    known = {}

    def run(folder: pathlib.Path):
        if folder in known:
            return known[folder]
        output = endpoint.results / f"import-{len(known)}"
        output.mkdir()
        job = imaging.start_dicom_import_job(
            datastoreId=datastore,
            dataAccessRoleArn="arn:aws:iam::000000000000:role/local",
            inputS3Uri=f"{folder.as_uri()}/",
            outputS3Uri=f"{output.as_uri()}/",
        )
        deadline = time.monotonic() + 120
        while True:
            properties = imaging.get_dicom_import_job(datastoreId=datastore, jobId=job["jobId"])["jobProperties"]
            if properties["jobStatus"] in ("COMPLETED", "FAILED"):
                break
            assert time.monotonic() < deadline, "the import job does not end"
            time.sleep(0.1)
        assert properties["jobStatus"] == "COMPLETED", properties
        manifest = output / f"{datastore}-DicomImport-{job['jobId']}" / "job-output-manifest.json"
        summary = json.loads(manifest.read_text())["jobSummary"]
        assert summary["numberOfImportedFiles"] == summary["numberOfScannedFiles"] > 0, summary
        known[folder] = [each["imageSetId"] for each in summary["imageSetsSummary"]]
        return known[folder]

    return run


@pytest.fixture(scope="session")
def pack_model(endpoint, tmp_path_factory):
    """Packs a bundle, with a map.json of ours if given, into the endpoint's models folder; gives its TargetModel."""

    def run(bundle: pathlib.Path, name: str, map_json=None):
        source = tmp_path_factory.mktemp("bundle") / name
        shutil.copytree(bundle, source, copy_function=shutil.copyfile)
        for path in [source, *source.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        if map_json is not None:
            (source / "map.json").write_text(json.dumps(map_json))
        run_cli("pack", source, "-o", endpoint.models / f"{name}.tar.gz")
        return f"{name}.tar.gz"

    return run
