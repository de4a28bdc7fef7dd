"""What MONAI's transforms answer: the judge behind transforms.test.ts.

    python monai_transforms.py CASES.json ANSWERS.json        (needs monai, torch, scikit-image)

A case is a list of configured transforms and channel-first images by key; its answer is the images afterwards, or the
name of the error. With `invert`, the image is inverted as a prediction would be. Arrays are base64 of little-endian
float32, the last axis fastest.
"""
import base64, json, sys, warnings
import numpy as np, torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Invertd

warnings.filterwarnings("ignore")
torch.set_num_threads(1)


def decode(image):
    values = np.frombuffer(base64.b64decode(image["data"]), "<f4").reshape(image["shape"]).copy()
    return MetaTensor(torch.from_numpy(values), affine=torch.tensor(image["affine"], dtype=torch.float64).reshape(4, 4))


def encode(image):
    values = np.asarray(image.detach().cpu().numpy() if isinstance(image, torch.Tensor) else image, "<f4")
    affine = np.asarray(image.affine, float) if isinstance(image, MetaTensor) else np.eye(4)
    data = base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
    return {"shape": list(values.shape), "data": data, "affine": affine.flatten().tolist()}


def answer(case):
    try:
        parser = ConfigParser({"t": {"_target_": "Compose", "transforms": case["transforms"]}})
        compose = parser.get_parsed_content("t")
        data = {key: decode(image) for key, image in case["images"].items()}
        data = data["image"] if case.get("bare") else data
        data = compose(data)
        data = {"image": data} if case.get("bare") else data
        images = {key: encode(value) for key, value in data.items() if isinstance(value, (torch.Tensor, np.ndarray))
                  and np.ndim(value) >= 3}
        if case.get("invert"):
            data["pred"] = MetaTensor(data["image"].as_tensor().clone())
            invert = Invertd(keys="pred", transform=compose, orig_keys="image", nearest_interp=case["invert"] == "nearest")
            images["pred"] = encode(invert(data)["pred"])
        return {"images": images}
    except Exception as thrown:  # the comparison is whether there is one
        cause = thrown.__cause__ or thrown
        return {"error": f"{type(cause).__name__}: {str(cause)[:200]}"}


cases = json.load(open(sys.argv[1]))
json.dump([answer(case) for case in cases], open(sys.argv[2], "w"))
