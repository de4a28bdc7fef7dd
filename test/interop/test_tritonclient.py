"""The Open Inference Protocol through NVIDIA's own client, given nothing but host and port."""

import gzip
import json
import subprocess
import urllib.request

import numpy as np
import pytest
import tritonclient.http as triton
from conftest import ROOT
from tritonclient.utils import InferenceServerException

TYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip


@pytest.fixture(scope="module")
def models(pack_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensor-bundles")
    subprocess.run(["npx", "tsx", ROOT / "test/interop/make_tensor_bundles.ts", folder], cwd=ROOT, check=True)
    return {each.name: pack_model(each, each.name) for each in folder.iterdir()}


@pytest.fixture(scope="module")
def client(endpoint, models):
    with triton.InferenceServerClient(endpoint.url.removeprefix("http://"), network_timeout=120) as made:
        yield made


def tensor(name, array, datatype, binary=True):
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def counting(dtype=np.int32):
    return np.arange(16, dtype=dtype).reshape(1, 16)


def states(client):
    return {each["name"]: each["state"] for each in client.get_model_repository_index()}


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    server = client.get_server_metadata()
    assert server["name"] == "map-endpoint"
    assert "binary_tensor_data" in server["extensions"]
    assert client.get_model_metadata("add_sub") == {
        "name": "add_sub",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": name, "datatype": "INT32", "shape": [1, 16]} for name in ("INPUT0", "INPUT1")],
        "outputs": [{"name": name, "datatype": "INT32", "shape": [1, 16]} for name in ("OUTPUT0", "OUTPUT1")],
    }
    assert client.get_model_metadata("identity_float16", "1")["inputs"][0]["shape"] == [-1, 8]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_infer_in_json_and_in_binary(client, binary_in, binary_out):
    result = client.infer(
        "add_sub",
        [tensor(name, counting(), "INT32", binary_in) for name in ("INPUT0", "INPUT1")],
        outputs=[triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("OUTPUT1", "OUTPUT0")],
        request_id="request-7",
    )
    assert np.array_equal(result.as_numpy("OUTPUT0"), counting() * 2)
    assert np.array_equal(result.as_numpy("OUTPUT1"), counting() * 0)
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("request-7", "add_sub", "1")


def test_outputs_that_are_not_named_all_come(client):
    result = client.infer("add_sub", [tensor(name, counting(), "INT32") for name in ("INPUT0", "INPUT1")])
    assert np.array_equal(result.as_numpy("OUTPUT0"), counting() * 2)
    assert np.array_equal(result.as_numpy("OUTPUT1"), counting() * 0)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_datatype_comes_back_bit_by_bit(client, dtype):
    rng = np.random.default_rng(7)
    if dtype == "bool":
        array = rng.integers(0, 2, (3, 8)).astype(np.bool_)
    elif dtype.startswith("float"):
        array = rng.standard_normal((3, 8)).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        array = rng.integers(limits.min, limits.max, (3, 8), dtype=dtype, endpoint=True)
    result = client.infer(f"identity_{dtype}", [tensor("INPUT0", array, TYPES[dtype])], model_version="1")
    given = result.as_numpy("OUTPUT0")
    assert given.dtype == array.dtype
    assert given.tobytes() == array.tobytes()


def test_a_big_tensor_and_a_compressed_request(client):
    array = np.random.default_rng(7).standard_normal((100_000, 8)).astype(np.float32)
    for algorithm in (None, "gzip", "deflate"):
        result = client.infer(
            "identity_float32", [tensor("INPUT0", array, "FP32")], request_compression_algorithm=algorithm
        )
        assert result.as_numpy("OUTPUT0").tobytes() == array.tobytes()


def test_many_at_once(client):
    arrays = [np.full((1, 8), value, np.float64) for value in range(20)]
    pending = [client.async_infer("identity_float64", [tensor("INPUT0", each, "FP64")]) for each in arrays]
    for array, each in zip(arrays, pending, strict=True):
        assert np.array_equal(each.get_result().as_numpy("OUTPUT0"), array)


def test_index_load_and_unload(client):
    for _ in range(2):
        client.load_model("identity_int8")
    assert client.is_model_ready("identity_int8")
    assert client.is_model_ready("identity_int8", "1")
    assert not client.is_model_ready("identity_int8", "2")
    assert states(client)["identity_int8"] == "READY"
    for _ in range(2):
        client.unload_model("identity_int8")
    assert not client.is_model_ready("identity_int8")
    assert "identity_int8" not in states(client)


def test_a_name_with_a_slash(client, endpoint, models):
    nested = endpoint.models / "team"
    nested.mkdir()
    (nested / "add.tar.gz").write_bytes((endpoint.models / models["add_sub"]).read_bytes())
    client.load_model("team/add")
    assert client.is_model_ready("team/add")
    result = client.infer("team/add", [tensor(name, counting(), "INT32") for name in ("INPUT0", "INPUT1")])
    assert result.get_response()["model_name"] == "team/add"


def test_errors_come_as_text(client, endpoint):
    with pytest.raises(InferenceServerException, match=r'There is no model "absent.tar.gz"') as absent:
        client.load_model("absent")
    assert absent.value.status() == "404"
    with pytest.raises(InferenceServerException, match="takes INT32, not FP32"):
        client.infer("add_sub", [tensor("INPUT0", counting(np.float32), "FP32")])
    with pytest.raises(InferenceServerException, match=r"takes the shape \[1, 16\], not \[1, 8\]"):
        client.infer("add_sub", [tensor("INPUT0", counting()[:, :8], "INT32")])
    with pytest.raises(InferenceServerException, match="BYTES is not supported"):
        client.infer("add_sub", [tensor("INPUT0", np.full((1, 16), b"x", np.object_), "BYTES")])
    with pytest.raises(InferenceServerException, match="neither a configuration nor files"):
        client.load_model("add_sub", config=json.dumps({}))


def test_sagemakers_binary_content_type(endpoint, models):
    """The client's own body on SageMaker's path, as Triton's test sends it."""
    array = np.arange(8, dtype=np.float32).reshape(1, 8)
    outputs = [triton.InferRequestedOutput("OUTPUT0", binary_data=True)]
    body, size = triton.InferenceServerClient.generate_request_body([tensor("INPUT0", array, "FP32")], outputs=outputs)
    prefix = "application/vnd.sagemaker-triton.binary+json;json-header-size="
    headers = {
        "Content-Type": f"{prefix}{size}",
        "Content-Encoding": "gzip",
        "X-Amzn-SageMaker-Target-Model": models["identity_float32"],
    }
    request = urllib.request.Request(f"{endpoint.url}/invocations", gzip.compress(body), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        given = response.headers["Content-Type"]
        content = response.read()
    assert given.startswith(prefix)
    result = triton.InferenceServerClient.parse_response_body(content, header_length=int(given.removeprefix(prefix)))
    assert np.array_equal(result.as_numpy("OUTPUT0"), array)
