"""What MONAI itself answers for small bundles: the judge behind test/unit/monai/monai-fixtures.test.ts.

    python make_fixtures.py OUT.json.gz        (needs monai, torch, nibabel)

Each case is an inference configuration, a small image and a fixed network; the answers are the preprocessed image and
the result of the postprocessing, with their affines. Arrays are base64 of little-endian float32, x fastest.
The file is one JSON value: {images: {key: …}, cases: […]}.
"""
import base64, gzip, json, sys, tempfile
import nibabel as nib, numpy as np, torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

SCALE, SHIFT, RAMP = (1.0, -0.5, 0.75), (0.0, 0.3125, -0.125), (0.5, 1.0, -0.25)


def network(channels):
    """Three channels that depend on the value and on the place inside the window, in float32 steps."""

    def predict(x):
        i, j, k = torch.meshgrid(*(torch.arange(n) for n in x.shape[2:]), indexing="ij")
        ramp = (((i * 7 + j * 3 + k * 5) % 11).float() / 16)[None, None]
        return torch.cat([x[:, :1] * SCALE[c] + SHIFT[c] + ramp * RAMP[c] for c in range(channels)], 1)

    return predict


def image(shape, kind):
    rng = np.random.default_rng(11)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    smooth = 600 * np.exp(-3 * (grid**2).sum(0)) - 300 * grid[0] + 100 * grid[2]
    data = smooth + (rng.normal(0, 40, shape) if kind == "noisy" else 0)
    return np.round(data).astype(np.int16)


def rotation(axis, degrees):
    a, m = np.radians(degrees), np.eye(3)
    p, q = [n for n in range(3) if n != axis]
    m[p, p], m[p, q], m[q, p], m[q, q] = np.cos(a), -np.sin(a), np.sin(a), np.cos(a)
    return m


def affine(spacing, axes=np.eye(3), origin=(-12.5, 7.25, 30.0)):
    m = np.eye(4)
    m[:3, :3], m[:3, 3] = axes @ np.diag(spacing), origin
    return m


AFFINES = {
    "ras": affine((1.5, 1.25, 3.0)),
    "lps": affine((0.8, 0.8, 2.5), np.diag([-1, -1, 1])),
    "sagittal": affine((1.0, 0.5, 2.0), np.array([[0, 0, -1], [-1, 0, 0], [0, -1, 0]])),
    "coronal": affine((0.9, 1.1, 2.0), np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])),
    # No position halfway between voxels: on turned grids MONAI itself decides those by the noise of its matrix solver.
    "oblique": affine((0.97, 1.03, 2.6), rotation(0, 12) @ rotation(2, 20) @ np.diag([-1, -1, 1])),
    "doubling": affine((1.0, 1.0, 2.0)),
    "halving": affine((0.5, 0.75, 1.0), np.diag([-1, -1, 1])),
}


def step(target, **args):
    return {"_target_": target, "keys": "image", **args}


LOAD = [step("LoadImaged"), step("EnsureChannelFirstd")]
SOFTMAX = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
ARGMAX = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
SIMPLE = {"_target_": "SimpleInferer"}


def invert(**args):
    return {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image", **args}


def cases():
    def case(name, pre=(), post=(), inferer=SIMPLE, geometry="ras", shape=(9, 8, 6), kind="noisy", channels=3):
        return dict(name=name, pre=LOAD + list(pre), post=list(post), inferer=inferer, geometry=geometry, shape=shape,
                    kind=kind, channels=channels)

    unit = step("ScaleIntensityRanged", a_min=-400, a_max=700, b_min=0.0, b_max=1.0, clip=True)
    for geometry in AFFINES:
        for codes in ("RAS", "LIA", "PSR"):
            yield case(f"orientation {codes} of {geometry}", [step("Orientationd", axcodes=codes), unit], geometry=geometry)
        ras = step("Orientationd", axcodes="RAS")
        for name, options in {
            "1.5 1.5 2": dict(pixdim=[1.5, 1.5, 2.0]),
            "1 1 1 nearest": dict(pixdim=[1.0, 1.0, 1.0], mode="nearest"),
            "2 zeros": dict(pixdim=2.0, padding_mode="zeros"),
            "0.7 reflection": dict(pixdim=[0.7], padding_mode="reflection"),
            "diagonal": dict(pixdim=[1.3, 1.1, 2.2], diagonal=True),
            "corners": dict(pixdim=[1.3, 1.1, 2.2], align_corners=True),
            "extent": dict(pixdim=[1.0, 1.0, 1.5], scale_extent=True, align_corners=True),
            "kept axis": dict(pixdim=[-1, 1.0, 0], dtype="$np.float32"),
            "between": dict(pixdim=[1.0, 1.0, 1.0], min_pixdim=[0.4, 0.4, 0.9], max_pixdim=[1.2, 1.2, 2.1]),
        }.items():
            pre = [ras, step("Spacingd", **options), unit, step("EnsureTyped")]
            yield case(f"spacing {name} of {geometry}", pre, geometry=geometry)
            if name in ("1.5 1.5 2", "1 1 1 nearest", "corners", "diagonal"):
                yield case(f"inverse of {name} of {geometry}", pre, [SOFTMAX, invert(nearest_interp=False)], geometry=geometry, channels=2)
                yield case(f"inverse argmax of {name} of {geometry}", pre,
                           [SOFTMAX, invert(nearest_interp=False), ARGMAX], geometry=geometry)
                yield case(f"argmax inverse of {name} of {geometry}", pre, [SOFTMAX, ARGMAX, invert()], geometry=geometry)
        yield case(f"label interpolation of {geometry}", [ras, step("Spacingd", pixdim=[1.4, 1.0, 1.7]), unit],
                   [ARGMAX, invert(nearest_interp=False)], geometry=geometry)
    for n, options in enumerate([
        dict(a_min=-57, a_max=164, b_min=0.0, b_max=1.0, clip=True), dict(a_min=-1000, a_max=1000),
        dict(a_min=0, a_max=255, b_min=-1.0, b_max=1.0), dict(a_min=10, a_max=10, b_min=2.0, b_max=3.0, clip=True),
        dict(a_min=10, a_max=10), dict(a_min=-100, a_max=300, b_min=0.25, clip=True),
    ]):
        yield case(f"range {n}", [step("ScaleIntensityRanged", **options)])
    for n, options in enumerate([
        dict(lower=2, upper=98, b_min=0, b_max=1, clip=True), dict(lower=0, upper=100, b_min=-1, b_max=1),
        dict(lower=0.5, upper=99.5, b_min=0.0, b_max=255.0, clip=True, relative=True),
        dict(lower=33.3, upper=66.6, b_min=None, b_max=None), dict(lower=10, upper=90, b_min=0, b_max=1, channel_wise=True),
    ]):
        yield case(f"percentiles {n}", [step("ScaleIntensityRangePercentilesd", **options)])
    for name, post in {
        "sigmoid": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}],
        "softmax": [SOFTMAX],
        "sigmoid threshold": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
                              {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}],
        "argmax one-hot": [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True, "to_onehot": 3}],
        "rounding": [{"_target_": "AsDiscreted", "keys": "pred", "rounding": "torchrounding"}],
        "softmax argmax": [SOFTMAX, ARGMAX],
    }.items():
        yield case(f"post {name}", [unit], post)
    for name, options, shape in [
        ("constant", dict(roi_size=[6, 5, 4], overlap=0.5), (13, 11, 9)),
        ("default overlap", dict(roi_size=[8, 8, 8]), (13, 11, 9)),
        ("no overlap", dict(roi_size=5, overlap=0.0), (13, 11, 9)),
        ("per axis", dict(roi_size=[6, 6, 4], overlap=[0.25, 0.6, 0.0]), (13, 11, 9)),
        ("gaussian", dict(roi_size=[6, 6, 6], overlap=0.625, mode="gaussian", sw_batch_size=3), (13, 11, 9)),
        ("gaussian sigma", dict(roi_size=[6, 5, 4], overlap=0.5, mode="gaussian", sigma_scale=[0.1, 0.2, 0.3]), (13, 11, 9)),
        ("whole axis", dict(roi_size=[-1, 5, None], overlap=0.5), (7, 11, 9)),
        ("padded", dict(roi_size=[8, 16, 16], overlap=0.25), (13, 11, 9)),
        ("padded value", dict(roi_size=[8, 16, 16], cval=-0.5), (13, 11, 9)),
        ("padded replicate", dict(roi_size=[16, 12, 4], padding_mode="replicate", mode="gaussian"), (13, 11, 9)),
        ("padded reflect", dict(roi_size=[16, 14, 12], padding_mode="reflect"), (13, 11, 9)),
        ("padded circular", dict(roi_size=[16, 14, 12], padding_mode="circular"), (13, 11, 9)),
    ]:
        yield case(f"windows {name}", [unit], [], {"_target_": "SlidingWindowInferer", **options}, shape=shape)
        yield case(f"windows {name} labels", [unit], [SOFTMAX, ARGMAX], {"_target_": "SlidingWindowInferer", **options}, shape=shape)
    yield case("whole program", [step("Orientationd", axcodes="RAS"), step("Spacingd", pixdim=[1.5, 1.5, 2.0]), unit],
               [SOFTMAX, invert(nearest_interp=False), ARGMAX], {"_target_": "SlidingWindowInferer", "roi_size": [6, 5, 4], "overlap": 0.5},
               geometry="lps", shape=(20, 18, 9), kind="smooth")


def pack(array):
    return base64.b64encode(np.asarray(array, dtype="<f4").tobytes(order="F")).decode()


def answer(image_):
    """An image as fixture: each channel x fastest."""
    array = np.asarray(image_)
    return {"shape": list(array.shape[1:]), "channels": [pack(c) for c in array],
            "affine": np.asarray(image_.affine, dtype=float).reshape(-1).tolist()}


def run(case, images):
    config = {"preprocessing": {"_target_": "Compose", "transforms": case["pre"]}, "inferer": case["inferer"],
              "postprocessing": {"_target_": "Compose", "transforms": case["post"]}}
    volume, matrix = image(case["shape"], case["kind"]), AFFINES[case["geometry"]]
    with tempfile.NamedTemporaryFile(suffix=".nii.gz") as file:
        header = nib.Nifti1Header()
        header.set_data_dtype(np.int16)
        nifti = nib.Nifti1Image(volume, matrix, header)
        nib.save(nifti, file.name)
        read = nib.load(file.name).affine
        parser = ConfigParser(json.loads(json.dumps(config)))
        data = parser.get_parsed_content("preprocessing")({"image": file.name})
    pre = data["image"]
    result = {"pre": answer(pre)}
    if case["post"] or case["inferer"] is not SIMPLE:
        with torch.inference_mode():
            logits = parser.get_parsed_content("inferer")(pre[None].as_tensor(), network(case["channels"]))
        data["pred"] = MetaTensor(logits[0], meta=pre.meta)
        result["pred"] = answer(parser.get_parsed_content("postprocessing")(data)["pred"])
    key = f"{case['geometry']} {case['shape']} {case['kind']}"
    images[key] = {"shape": list(volume.shape), "voxels": pack(volume), "affine": read.reshape(-1).tolist()}
    return {"name": case["name"], "config": config, "channels": case["channels"], "image": key, **result}


if __name__ == "__main__":
    images = {}
    fixtures = {"cases": [run(c, images) for c in cases()], "images": images}
    with gzip.GzipFile(sys.argv[1], "wb", mtime=0) as out:
        out.write(json.dumps(fixtures, separators=(",", ":")).encode())
    print(len(fixtures["cases"]), "cases")
