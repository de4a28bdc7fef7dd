"""What MONAI's RetinaNetDetector and its box transforms answer: the judge behind test/unit/monai/detector-fixtures.test.ts.

    python make_detector_fixtures.py OUT.json.gz        (needs monai, torch)

A case is the configuration of a detector, an image and a fixed network; the network's outputs are a function of its input
that the test computes as well. The bundle's own inferer is not here: what it adds to the detector is the choice between
the whole image and windows, which is done below in its words. Arrays are base64 of little-endian float32, x fastest.
"""
import base64, gzip, json, random, sys
import numpy as np, torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.apps.detection.transforms.dictionary import AffineBoxToWorldCoordinated, ClipBoxToImaged, ConvertBoxModed
from monai.bundle import ConfigParser
from monai.data import MetaTensor


class Heads(torch.nn.Module):
    """Some voxels of the input, and a value of the place and the channel, in float32 steps."""

    def __init__(self, strides, anchors, classes, bias):
        super().__init__()
        self.strides, self.anchors, self.classes, self.bias = strides, anchors, classes, bias

    def maps(self, x, channels, seed, scale, bias):
        out = []
        for stride in self.strides:
            level = x[:, :, :: stride[0], :: stride[1], :: stride[2]][:, :1]
            grid = torch.meshgrid(*(torch.arange(n) for n in level.shape[2:]), indexing="ij")
            made = []
            for c in range(channels):
                place = grid[0] * (7919 + 101 * c) + grid[1] * (104729 + 211 * c) + grid[2] * (1299709 + seed) + c * seed * 15485
                place = (place % 1000003).float() / 2**20
                made.append(level * (0.5 + (c % 3) * 0.25) + place[None, None] * scale + bias)
            out.append(torch.cat(made, 1))
        return out

    def forward(self, x):
        return {
            "classification": self.maps(x, self.anchors * self.classes, 1, 4.0, self.bias),
            "box_regression": self.maps(x, self.anchors * 6, 2, 0.75, -0.375),
        }


def cases():
    shapes = [[6, 8, 4], [8, 6, 5], [10, 10, 6]]
    zoo = dict(
        anchor={"_target_": "AnchorGeneratorWithAnchorShape", "feature_map_scales": [1, 2], "base_anchor_shapes": shapes},
        strides=[[2, 2, 1], [4, 4, 2]], classes=1, divisible=[4, 4, 2], bias=-5.0,
        select=dict(score_thresh=0.02, topk_candidates_per_level=1000, nms_thresh=0.22, detections_per_img=300))
    yield {**zoo, "shape": [16, 12, 10]}
    yield {**zoo, "shape": [15, 13, 9]}
    yield {**zoo, "shape": [24, 20, 14], "windows": dict(roi_size=[16, 16, 8], overlap=0.25, sw_batch_size=1, mode="constant")}
    yield {**zoo, "shape": [36, 20, 10], "windows": dict(roi_size=[16, 16, 8], overlap=0.5)}
    yield {**zoo, "shape": [24, 21, 12], "windows": dict(roi_size=[16, 16, 8], mode="gaussian", overlap=0.5), "bias": -4.0}
    yield {**zoo, "shape": [40, 12, 12], "windows": dict(roi_size=[16, 16, 8], padding_mode="replicate"), "bias": -4.5}
    yield {**zoo, "shape": [12, 12, 6], "windows": dict(roi_size=[16, 16, 8]), "bias": -4.5}
    yield {**zoo, "shape": [12, 12, 6], "windows": dict(roi_size=[16, 16, 8], overlap=0.5), "force": True}
    many = dict(zoo, classes=3, bias=-3.0)
    yield {**many, "shape": [16, 12, 10], "select": dict(score_thresh=0.2, topk_candidates_per_level=60, nms_thresh=0.4, detections_per_img=25)}
    yield {**many, "shape": [20, 12, 10], "select": dict(score_thresh=0.1, detections_per_img=40), "weights": [10.0, 10.0, 10.0, 5.0, 5.0, 5.0]}
    yield {**many, "shape": [16, 16, 8], "select": dict(score_thresh=0.9, apply_sigmoid=False)}
    yield {**many, "shape": [16, 16, 8], "select": dict(score_thresh=0.9999)}
    sized = dict(many, anchor={"_target_": "AnchorGenerator", "sizes": [[5, 9], [11, 17]], "aspect_ratios": [[[0.5, 1.0], [1.0, 0.7]]] * 2},
                 classes=2, select=dict(score_thresh=0.3, nms_thresh=0.1))
    yield {**sized, "shape": [16, 12, 10]}
    yield {**sized, "shape": [20, 14, 10], "anchor": {**sized["anchor"], "indexing": "xy"}}
    pick = random.Random(3)
    for _ in range(12):
        yield {**zoo, "classes": pick.choice((1, 2)), "bias": pick.choice((-4.0, -3.5)),
               "shape": [pick.randrange(9, 30), pick.randrange(9, 22), pick.randrange(5, 14)],
               "windows": dict(roi_size=[16, 16, 8], overlap=pick.choice((0.25, 0.5)), mode=pick.choice(("constant", "gaussian"))),
               "select": dict(score_thresh=pick.choice((0.05, 0.2)), nms_thresh=pick.choice((0.1, 0.5)), detections_per_img=50)}


AFFINES = (
    [[1, 0, 0, -12.5], [0, 1, 0, 4], [0, 0, 1, 100], [0, 0, 0, 1]],
    [[0.703125, 0, 0, -180.25], [0, 0.703125, 0, -160.5], [0, 0, 1.25, -300], [0, 0, 0, 1]],
    [[0, -0.75, 0, 80], [-0.75, 0, 0, 40], [0, 0, -2.5, 12], [0, 0, 0, 1]],
)


def pack(array):
    return base64.b64encode(np.asarray(array, dtype="<f4").tobytes(order="F")).decode()


def flat(tensor):
    return [round(float(v), 5) for v in torch.as_tensor(tensor).flatten()]


def run(n, case):
    # Values of their own for all voxels: torch leaves the order of equal scores open.
    image = np.random.default_rng(n).uniform(0, 1, case["shape"]).astype(np.float32)
    anchors = ConfigParser({"a": dict(case["anchor"])}).get_parsed_content("a")
    network = Heads(case["strides"], anchors.num_anchors_per_location()[0], case["classes"], case["bias"])
    detector = RetinaNetDetector(network, anchors, spatial_dims=3, num_classes=case["classes"], size_divisible=case["divisible"])
    detector.eval()
    detector.set_target_keys(box_key="box", label_key="label")
    detector.set_box_selector_parameters(**case["select"])
    if "weights" in case:
        detector.set_box_coder_weights(case["weights"])
    windows = case.get("windows")
    if windows:
        detector.set_sliding_window_inferer(**windows)
    uses = bool(windows) and (case.get("force", False) or image.size >= np.prod(windows["roi_size"]))
    affine = torch.tensor(AFFINES[n % len(AFFINES)], dtype=torch.float64)
    tensor = torch.as_tensor(image, dtype=torch.float32)[None]
    with torch.no_grad():
        found = detector([tensor], use_inferer=uses)[0]
    data = {**found, "image": MetaTensor(tensor, affine=affine)}
    lps = n % 2 == 0
    mode = ("cccwhd", "xyzwhd", "xxyyzz", "xyxyzz", "xyzxyz")[n % 5]
    data = ClipBoxToImaged("box", ["label", "label_scores"], "image", remove_empty=True)(data)
    data = AffineBoxToWorldCoordinated("box", "image", affine_lps_to_ras=lps)(data)
    data = ConvertBoxModed("box", src_mode="xyzxyz", dst_mode=mode)(data)
    return {**case, "voxels": pack(image), "affine": affine.flatten().tolist(), "lps": lps, "mode": mode,
            "anchorsPerPlace": network.anchors, "found": flat(found["box"]), "boxes": flat(data["box"]),
            "scores": [float(s) for s in found["label_scores"]], "labels": [int(l) for l in found["label"]]}


if __name__ == "__main__":
    answers = [run(n, case) for n, case in enumerate(cases())]
    with gzip.GzipFile(sys.argv[1], "wb", mtime=0) as out:
        out.write(json.dumps(answers, separators=(",", ":")).encode())
    print([len(a["labels"]) for a in answers], "boxes")
