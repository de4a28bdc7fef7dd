"""MONAI's own answers for the parity campaign. One process; a job is a JSON line on standard input, so is its answer.

    {"images": OUT, "shared": DIR}                                   make the campaign's images in OUT
    {"stub": PATH, "dims": 3, "in": 1, "out": 2, "kind": "image", "names": ["image", "pred"]}    write a stub network
    {"bundle": DIR, "data": {"image": PATH | [PATH, …]}, "input": "image", "result": "pred", "out": OUT}

The last writes OUT/pre.gz and OUT/result.gz (little-endian float32; channels one after another, each x fastest) and
OUT/answer.json with their shapes and affines.
Needs test/parity/requirements.txt.
"""
import glob, gzip, json, logging, os, sys, time, traceback, warnings

chatter, sys.stdout = sys.stdout, sys.stderr  # what MONAI prints must not mix with answers

import monai, numpy as np, onnxruntime as ort, torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import images, stub

torch.set_num_threads(2)
logging.disable(logging.WARNING)
warnings.filterwarnings("ignore")


def network(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: np.ascontiguousarray(x.cpu().numpy(), np.float32)})[0])


def write(path, image):
    """An array with channels first; a vector of classes stays one."""
    array = np.asarray(image, np.float32)
    with gzip.GzipFile(path, "wb", 1, mtime=0) as file:
        for channel in array:
            file.write(np.asarray(channel, "<f4").tobytes(order="F"))
    affine = getattr(image, "affine", None)
    return {
        "channels": array.shape[0],
        "shape": list(array.shape[1:]),
        "affine": None if affine is None else np.asarray(affine, float).reshape(-1).tolist(),
    }


def components(value, target):
    """Every component of a kind in a configuration, wherever it stands: transforms may be in a list that another one names."""
    if isinstance(value, dict):
        if str(value.get("_target_", "")).split(".")[-1] == target:
            yield value
        value = list(value.values())
    for item in value if isinstance(value, list) else []:
        yield from components(item, target)


def answer(job):
    bundle, out = job["bundle"], job["out"]
    parser = ConfigParser()
    parser.read_config(sorted(glob.glob(f"{bundle}/configs/inference.json") + glob.glob(f"{bundle}/configs/inference.yaml"))[0])
    parser.update({"bundle_root": bundle, "output_dir": f"{out}/saved", "device": "$torch.device('cpu')"})
    # Writing is not judged, and MONAI has no writer for what some bundles save (nuclei: `.json`).
    for saver in components(parser.config, "SaveImaged"):
        saver["_disabled_"] = True
    data = dict(job["data"])
    if not any(components(parser.config, "LoadImaged")):  # the bundle's dataset gives it arrays: of a patch of a slide, channels first
        data = {key: monai.transforms.LoadImage(image_only=True, ensure_channel_first=True)(path) for key, path in data.items()}
    from_ = time.perf_counter()
    data = parser.get_parsed_content("preprocessing")(data)
    image = data[job["input"]]
    pre = time.perf_counter()
    with torch.inference_mode():
        batch = torch.as_tensor(np.asarray(image))[None] if not isinstance(image, MetaTensor) else image[None].as_tensor()
        logits = parser.get_parsed_content("inferer")(batch.float(), network(f"{bundle}/models/model.onnx"))
    inferred = time.perf_counter()
    # As decollating a batch leaves it: the prediction with the image's meta data.
    data["pred"] = MetaTensor(logits[0], meta=image.meta) if isinstance(image, MetaTensor) else logits[0]
    result = parser.get_parsed_content("postprocessing")(data)[job["result"]]
    done = time.perf_counter()
    report = {
        "pre": write(f"{out}/pre.gz", image),
        "result": write(f"{out}/result.gz", result),
        "seconds": [round(pre - from_, 3), round(inferred - pre, 3), round(done - inferred, 3)],
    }
    with open(f"{out}/answer.json", "w") as file:
        json.dump(report, file)
    return report


def do(job):
    if "images" in job:
        images.make(job["shared"], job["images"])
        return {}
    if "stub" in job:
        stub.stub(job["stub"], job["dims"], job["in"], job["out"], job["kind"], job["names"])
        return {}
    return answer(job)


for line in sys.stdin:
    try:
        reply = do(json.loads(line))
    except Exception as error:  # the campaign goes on; the table shows it
        traceback.print_exc()
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), file=chatter, flush=True)
