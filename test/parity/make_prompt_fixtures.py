"""What MONAI and the model zoo's own scripts answer: the judge behind test/unit/monai/prompt-fixtures.test.ts.

    python make_prompt_fixtures.py ZOO SHARED OUT.json.gz        (needs monai, torch, nibabel, einops)

ZOO is a folder with the `scripts` of the model zoo's bundles (NAME/scripts/*.py), SHARED one with their configurations
(zoo/NAME/configs). Each case is a bundle's program on small images, with clicks; the answer is what the network would be given,
and what the bundle makes of a fixed network's answer. Arrays are base64 of little-endian float32, x fastest.
"""
import base64, gzip, json, sys, tempfile
import nibabel, numpy as np, torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

ZOO, SHARED, OUT = sys.argv[1:]


def network(channels):
    """Each channel another mixture of the input's."""

    def predict(x):
        return torch.stack([sum((x[:, k] - 0.5) * (((c * 5 + k * 3) % 7) * 2 - 6) for k in range(x.shape[1])) + c / 32
                            for c in range(channels)], 1)

    return predict


def pack(array):
    return base64.b64encode(np.asarray(array, dtype="<f4").tobytes(order="F")).decode()


def image(seed, shape):
    """Smooth, so that labels have borders and not only dust."""
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    wave = sum(np.sin((seed + 2 + axis) * at / 5.0) for axis, at in enumerate(grid))
    return np.round(wave * 120 + np.random.default_rng(seed).normal(0, 10, shape)).astype(np.int16)


def turned(codes, spacing=(1.5, 2.0, 2.5)):
    """An affine of axes that run as `codes` say."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, code in enumerate(codes):
        row = ["LR", "PA", "IS"].index(next(pair for pair in ("LR", "PA", "IS") if code in pair))
        affine[row, column] = spacing[column] * (1 if code in "RAS" else -1)
    affine[:3, 3] = (-20, 13, 7)
    return affine


def cases():
    deepedit = {"spatial_size": [14, 18, 10], "preprocessing_transforms#0#reader": "NibabelReader"}
    clicks = {"spleen": [[3, 4, 2], [12, 9, 5]], "background": [[0, 0, 0]]}
    for codes in ("RAS", "LPS", "LAI"):
        yield "spleen_deepedit_annotation", deepedit, {"image": (turned(codes), [(16, 13, 8)])}, clicks, 2
    yield "spleen_deepedit_annotation", deepedit, {"image": (turned("RAS"), [(16, 13, 8)])}, {}, 2
    yield "spleen_deepedit_annotation", deepedit, {"image": (turned("LPS"), [(9, 20, 31)])}, {"background": [[8, 19, 30]], "spleen": [[4, 4, 4], [4, 4, 4]]}, 2
    # Axes exchanged, but of one length: MONAI then takes the right sizes.
    yield "spleen_deepedit_annotation", deepedit, {"image": (turned("SPL"), [(12, 12, 12)])}, {"spleen": [[3, 4, 2], [11, 9, 5]], "background": []}, 2
    nuclick = lambda **more: {"preprocessing#transforms#3": {"_target_": "AddClickSignalsd", "image": "image", "foreground": "foreground", "bb_size": 12, **more}}
    for click in ([5, 9], [0, 0], [19, 3], [8, 14]):
        yield "pathology_nuclick_annotation", nuclick(), {"image": (None, [(20, 15)] * 3)}, {"foreground": [click]}, 1
    yield "pathology_nuclick_annotation", nuclick(gaussian=True), {"image": (None, [(20, 15)] * 3)}, {"foreground": [[7, 11]]}, 1
    yield "pathology_nuclick_annotation", nuclick(gaussian=True, sigma=2.5, truncated=1.5), {"image": (None, [(13, 12)] * 3)}, {"foreground": [[12, 0]]}, 1
    yield "pathology_nuclick_annotation", {"preprocessing#transforms#3::bb_size": 9}, {"image": (None, [(20, 15)] * 3)}, {"foreground": [[7, 11]]}, 1
    for codes in ("RAS", "LPS", "LAI", "SPL"):
        phases = {key: (turned(codes, (0.9, 1.0, 1.1)), [(10, 9, 6)]) for key in ("artery", "vein", "excret", "label")}
        yield "renalStructures_CECT_segmentation", {"inferer::roi_size": [8, 8, 8]}, phases, {}, 6


def run(n, bundle, updates, images, clicks, channels):
    for name in [name for name in sys.modules if name == "scripts" or name.startswith("scripts.")]:
        del sys.modules[name]
    sys.path.insert(0, f"{ZOO}/{bundle}")
    parser = ConfigParser()
    parser.read_config(f"{SHARED}/zoo/{bundle}/configs/inference.json")
    config = {key: value for key, value in parser.get().items() if key not in ("initialize", "run", "evaluator", "handlers", "network_def")}
    for key, value in updates.items():
        parser[key.replace("::", "#")] = value
    config = json.loads(json.dumps({**config, **{key: parser.get(key) for key in config}}))
    with tempfile.TemporaryDirectory() as folder:
        data, inputs = dict(clicks), {}
        for m, (key, (affine, shapes)) in enumerate(images.items()):
            arrays = [image(7 * n + 3 * m + c, shape) for c, shape in enumerate(shapes)]
            flat = affine is None
            if flat:
                arrays = [np.clip(array + 128, 0, 255) for array in arrays]
                data[key] = MetaTensor(torch.as_tensor(np.stack(arrays).astype(np.uint8)))
            else:
                data[key] = f"{folder}/{key}.nii"
                nibabel.save(nibabel.Nifti1Image(arrays[0], affine), data[key])
            inputs[key] = {"shape": list(shapes[0]), "affine": (np.eye(4) if flat else affine).reshape(-1).tolist(), "flat": flat, "voxels": [pack(a) for a in arrays]}
        parser.update({"bundle_root": folder, "output_dir": f"{folder}/out", "device": "$torch.device('cpu')"})
        for step in parser["postprocessing#transforms"]:
            if step["_target_"] == "SaveImaged":
                step["_disabled_"] = True
        parser.parse(True)
        preprocessing = parser.get_parsed_content("preprocessing")
        if flat:
            for transform in preprocessing.transforms[2:]:
                data = transform(data)
        else:
            data = preprocessing(data)
        given = data["image"]
        answer = parser.get_parsed_content("inferer")(torch.as_tensor(np.asarray(given))[None].float(), network(channels))
        data["pred"] = MetaTensor(answer[0], meta=given.meta) if isinstance(given, MetaTensor) else answer[0]
        data = parser.get_parsed_content("postprocessing")(data)
    sys.path.pop(0)
    result = data["pred"]
    inputs.pop("label", None)
    return {
        "bundle": bundle, "config": config, "inputs": inputs, "clicks": clicks, "out": channels,
        "given": {"shape": list(given.shape[1:]), "channels": [pack(c) for c in np.asarray(given)]},
        "result": {"shape": list(result.shape[1:]), "channels": [pack(c) for c in np.asarray(result)]},
    }


if __name__ == "__main__":
    answers = [run(n, *case) for n, case in enumerate(cases())]
    with gzip.GzipFile(OUT, "wb", mtime=0) as out:
        out.write(json.dumps(answers, separators=(",", ":")).encode())
    print(len(answers), "cases")
