"""InvokeEndpointAsync through boto3: the job's answer, its error, and the refusals that the SDK knows by name."""

import json
import pathlib
import time

import pytest
from botocore.exceptions import ClientError


def path_of(uri):
    assert uri.startswith("file:///")
    return pathlib.Path(uri.removeprefix("file://"))


def wait_for(path, other):
    deadline = time.monotonic() + 120
    while not path.exists():
        assert not other.exists(), other.read_text()
        assert time.monotonic() < deadline, "the job does not end"
        time.sleep(0.1)
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def body(shared, pack_model):
    pack_model(shared / "models" / "spleen_ct_demo", "async-spleen")
    return {"model": "async-spleen", "inputs": [{"uri": f"{(shared / 'data' / 'ct-abdomen-30').as_uri()}/"}]}


def submit(runtime, **more):
    return runtime.invoke_endpoint_async(EndpointName="imaging", ContentType="application/json", **more)


def test_inline_body(runtime, body):
    accepted = submit(runtime, Body=json.dumps(body), InferenceId="from boto3", RequestTTLSeconds=600)
    assert accepted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert accepted["InferenceId"] == "from boto3"
    output, failure = path_of(accepted["OutputLocation"]), path_of(accepted["FailureLocation"])
    answer = wait_for(output, failure)
    # ../shared/README.md: spleen_ct_demo on ct-abdomen-30 gives 9,745 voxels.
    assert abs(answer["measurements"][0]["voxels"] - 9745) <= 0.0001 * 122 * 101 * 30


def test_input_location(runtime, body, endpoint):
    request = endpoint.results / "request.json"
    request.write_text(json.dumps(body))
    accepted = submit(runtime, InputLocation=request.as_uri(), InvocationTimeoutSeconds=300)
    answer = wait_for(path_of(accepted["OutputLocation"]), path_of(accepted["FailureLocation"]))
    assert answer["inferenceId"] == accepted["InferenceId"]


def test_error_goes_to_the_failure_location(runtime, body):
    accepted = submit(runtime, Body=json.dumps({**body, "model": "no-such-model"}))
    error = wait_for(path_of(accepted["FailureLocation"]), path_of(accepted["OutputLocation"]))
    assert error["error"]["code"] == "model_not_found"


def test_refusals(runtime, body, tmp_path):
    with pytest.raises(ClientError) as outside:
        submit(runtime, InputLocation=(tmp_path / "request.json").as_uri())
    assert outside.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError) as both:
        submit(runtime, InputLocation="s3://bucket/key", Body=json.dumps(body))
    assert "exclude" in both.value.response["Error"]["Message"]
