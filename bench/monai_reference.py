"""MONAI's whole request in one quiet, warm process: DICOM folder in, DICOM SEG out.

    python monai_reference.py BUNDLE_DIR          (fp32, the bundle's own transforms, sw_batch_size 4)

A line on standard input, {"dicom": DIR, "seg": FILE}, is one request; the answer is a line with the milliseconds of
each phase and the number of voxels of each label. The network is MONAI's own in torch, as in any MONAI bundle.
"""

import json
import pathlib
import sys
import time

import highdicom
import numpy as np
import onnx
import onnx.numpy_helper
import pydicom
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from pydicom.sr.codedict import codes

torch.set_grad_enabled(False)


def load_network(bundle, parser):
    """The MONAI network that the configuration names, in torch, with the weights of the bundle's ONNX file.

    The export folds batch norms into convolutions, so weights are handed out in the order of execution (nodes of the
    graph against calls of the modules) and folded norms become the identity; the result is checked against onnxruntime.
    """
    import onnxruntime

    network = parser.get_parsed_content("network_def").eval()
    path = str(bundle / "models" / "model.onnx")
    graph = onnx.load(path).graph
    values = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in graph.initializer}
    called = []
    kinds = (torch.nn.Conv3d, torch.nn.ConvTranspose3d, torch.nn.PReLU)
    modules = dict(network.named_modules())
    hooks = [m.register_forward_hook(lambda m, *_: called.append(m)) for m in modules.values() if isinstance(m, kinds)]
    x = torch.rand(1, 1, 96, 96, 96)
    network(x)
    for hook in hooks:
        hook.remove()
    nodes = [n for n in graph.node if n.op_type in ("Conv", "ConvTranspose", "PRelu")]
    assert len(nodes) == len(called), "the network and its ONNX file differ"
    for node, module in zip(nodes, called):
        weights = [values[name] for name in node.input if name in values]
        module.weight.copy_(weights[0].reshape(module.weight.shape))
        if len(weights) > 1:
            module.bias.copy_(weights[1])
    for name, module in modules.items():
        if not isinstance(module, torch.nn.BatchNorm3d):
            continue
        if f"{name}.weight" in values:
            for part in ("weight", "bias", "running_mean", "running_var"):
                getattr(module, part).copy_(values[f"{name}.{part}"])
        else:
            module.weight.fill_((1 + module.eps) ** 0.5)
            module.bias.zero_(), module.running_mean.zero_(), module.running_var.fill_(1)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])
    assert torch.allclose(network(x), expected, atol=1e-3), "the network and its ONNX file answer differently"
    return network


def write_seg(datasets, labels, affine, path):
    """One BINARY segment for the labels, on the source's own slices."""
    segment = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="Spleen",
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.Spleen,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name="reference", version="1", family=codes.DCM.ArtificialIntelligence
        ),
    )
    # MONAI's array is (x, y, z) with z as in the sorted datasets; DICOM frames are (rows, columns).
    seg = highdicom.seg.Segmentation(
        source_images=datasets,
        pixel_array=np.ascontiguousarray(labels.transpose(2, 1, 0)),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=highdicom.UID(),
        series_number=1,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="reference",
        manufacturer_model_name="reference",
        software_versions="1",
        device_serial_number="1",
    )
    seg.save_as(path)


def read_series(folder):
    """Datasets ordered along the normal, voxels in HU as (x, y, z), and the affine in LPS."""
    datasets = [pydicom.dcmread(path) for path in sorted(pathlib.Path(folder).iterdir())]
    across = np.array(datasets[0].ImageOrientationPatient, float)
    normal = np.cross(across[:3], across[3:])
    datasets.sort(key=lambda ds: float(np.dot(normal, np.array(ds.ImagePositionPatient, float))))
    first, last = (np.array(ds.ImagePositionPatient, float) for ds in (datasets[0], datasets[-1]))
    row_mm, column_mm = map(float, datasets[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = across[:3] * column_mm, across[3:] * row_mm
    affine[:3, 2], affine[:3, 3] = (last - first) / (len(datasets) - 1), first
    voxels = np.stack(
        [ds.pixel_array.astype(np.float32) * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in datasets]
    )
    return datasets, voxels.transpose(2, 1, 0), affine


def main():
    bundle = pathlib.Path(sys.argv[1])
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.update({"bundle_root": str(bundle), "output_dir": "/dev/null"})
    network = load_network(bundle, parser)
    preprocessing = parser.get_parsed_content("preprocessing")
    inferer = parser.get_parsed_content("inferer")
    postprocessing = parser.get_parsed_content("postprocessing")
    # The series is read by us, one pass of pydicom; the bundle's LoadImaged would read NIfTI, its SaveImaged write it.
    preprocessing.transforms = preprocessing.transforms[1:]
    postprocessing.transforms = [t for t in postprocessing.transforms if type(t).__name__ != "SaveImaged"]
    for line in sys.stdin:
        request = json.loads(line)
        marks = [time.perf_counter()]
        datasets, voxels, affine = read_series(request["dicom"])
        marks.append(time.perf_counter())
        affine_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
        image = MetaTensor(torch.from_numpy(np.ascontiguousarray(voxels)), affine=torch.from_numpy(affine_ras))
        image.meta["original_channel_dim"] = float("nan")
        image.meta["space"] = "RAS"
        data = preprocessing({"image": image})
        marks.append(time.perf_counter())
        logits = inferer(data["image"][None].as_tensor(), network)
        marks.append(time.perf_counter())
        data["pred"] = MetaTensor(logits[0], meta=data["image"].meta)
        labels = np.asarray(postprocessing(data)["pred"][0]).astype(np.uint8)
        marks.append(time.perf_counter())
        write_seg(datasets, labels, affine, request["seg"])
        marks.append(time.perf_counter())
        names = ("read", "preprocess", "inference", "postprocess", "write")
        phases = {name: 1000 * (b - a) for name, a, b in zip(names, marks, marks[1:])}
        values, counts = np.unique(labels, return_counts=True)
        voxels_of = {str(v): int(c) for v, c in zip(values, counts)}
        answer = {"total": 1000 * (marks[-1] - marks[0]), "phases": phases, "voxels": voxels_of}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
