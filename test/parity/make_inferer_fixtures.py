"""What MONAI's own inferers answer: the judge behind test/unit/monai/inferer-fixtures.test.ts.

    python make_inferer_fixtures.py OUT.json.gz        (needs monai, torch)

Each case is an inferer's configuration, an image and a fixed network; the answer is the inferer's. Arrays are base64 of
little-endian float32, x fastest. `half` runs the network on the image in half precision, and has it answer so.
"""
import base64, gzip, json, random, sys
import numpy as np, torch
from monai.bundle import ConfigParser

SCALE, SHIFT, RAMP = (1.0, -0.5), (0.0, 0.3125), (0.5, 1.0)


def network(channels, half=False):
    """Channels that depend on the value and on the place inside the window, in float32 steps."""

    def predict(x):
        if half:
            x = x.half().float()
        grid = torch.meshgrid(*(torch.arange(n) for n in x.shape[2:]), indexing="ij")
        ramp = ((sum(g * w for g, w in zip(grid, (7, 3, 5))) % 11).float() / 16)[None, None]
        y = torch.cat([x[:, :1] * SCALE[c] + SHIFT[c] + ramp * RAMP[c] for c in range(channels)], 1)
        return y.half().float() if half else y

    return predict


def cases():
    window, slices = "SlidingWindowInferer", "SliceInferer"
    for along in (0, 1, 2):
        yield slices, dict(roi_size=[16, 16], spatial_dim=along), (9, 11, 7), {}
        yield slices, dict(roi_size=[5, 4], spatial_dim=along, overlap=0.5, sw_batch_size=4), (9, 11, 7), {}
        yield slices, dict(roi_size=[6, 5], spatial_dim=along, overlap=[0.4, 0.6, 0.2], mode="gaussian"), (9, 11, 7), {}
        yield slices, dict(roi_size=[-1, 12], spatial_dim=along, padding_mode="replicate"), (9, 11, 7), {}
    yield slices, dict(roi_size=[12, 12], cval=-0.75), (4, 11, 7), {}
    for options in (
        dict(roi_size=[6, 5], overlap=0.5), dict(roi_size=[6, 5], overlap=[0.25, 0.6], mode="gaussian"), dict(roi_size=8),
        dict(roi_size=[6, 5], mode="gaussian", sigma_scale=[0.1, 0.3]), dict(roi_size=[16, 6], padding_mode="reflect"),
        dict(roi_size=[16, 16], cval=0.5, mode="gaussian"), dict(roi_size=[-1, 7], overlap=0.7),
    ):
        yield window, options, (13, 11), {}
    yield "SlidingWindowInfererAdapt", dict(roi_size=[6, 5], overlap=0.625, mode="gaussian", cache_roi_weight_map=True), (13, 11), {}
    yield "SimpleInferer", {}, (13, 11), {}
    yield "SimpleInferer", {}, (13, 11), {"half": True}
    yield window, dict(roi_size=[6, 5, 4], overlap=0.5), (9, 8, 7), {"half": True}
    pick = random.Random(5)
    for _ in range(60):
        axes = pick.choice((2, 3, 3))
        roi = [pick.choice((3, 4, 5, 6, 8, 11, -1)) for _ in range(axes)]
        options = dict(roi_size=pick.choice((roi, 5, 9)), sw_batch_size=pick.choice((1, 2, 3, 4)),
                       overlap=pick.choice((0.0, 0.25, 0.5, 0.625, 0.7, [pick.choice((0.1, 0.3, 0.8)) for _ in range(axes)])),
                       mode=pick.choice(("constant", "gaussian")), padding_mode=pick.choice(("constant", "replicate")),
                       cval=pick.choice((0.0, -1.0, 2.5)), sigma_scale=pick.choice((0.125, 0.25, [0.2, 0.1, 0.4][:axes])))
        if options["padding_mode"] != "constant":
            del options["cval"]
        yield window, options, tuple(pick.randrange(4, 11) for _ in range(axes)), {}


def pack(array):
    return base64.b64encode(np.asarray(array, dtype="<f4").tobytes(order="F")).decode()


def run(n, target, options, shape, extra):
    image = np.round(np.random.default_rng(n).normal(0, 300, shape)).astype(np.int16)
    channels = 1 + n % 2
    inferer = {"_target_": target, **options}
    answer = ConfigParser({"i": dict(inferer)}).get_parsed_content("i")(
        torch.as_tensor(image, dtype=torch.float32)[None, None], network(channels, **extra))[0]
    return {"inferer": inferer, "shape": list(shape), "voxels": pack(image), **extra, "channels": [pack(c) for c in answer.numpy()]}


if __name__ == "__main__":
    answers = [run(n, *case) for n, case in enumerate(cases())]
    with gzip.GzipFile(sys.argv[1], "wb", mtime=0) as out:
        out.write(json.dumps(answers, separators=(",", ":")).encode())
    print(len(answers), "cases")
