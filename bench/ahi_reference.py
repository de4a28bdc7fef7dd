"""AHItoDICOMInterface, warm: an image set of a store to a volume in memory.

    python ahi_reference.py ENDPOINT_URL

A line on standard input, {"datastoreId", "imageSetId"}, is one request; the answer has the milliseconds from the call to
the stacked volume, and the volume's SHA-256 (int16, little-endian, x fastest, slices from the feet up) to compare with.
"""

import hashlib
import json
import os
import sys
import time

import numpy as np

os.environ["AWS_DISABLE_HOST_PREFIX_INJECTION"] = "true"
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("AWS_ACCESS_KEY_ID", "local")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "local")

from AHItoDICOMInterface.AHItoDICOM import AHItoDICOM  # noqa: E402


def main():
    helper = AHItoDICOM(AHI_endpoint=sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        datasets = helper.DICOMizeImageSet(request["datastoreId"], request["imageSetId"])
        datasets.sort(key=lambda ds: float(ds["ImagePositionPatient"].value[2]))
        planes = []
        for ds in datasets:
            stored = np.frombuffer(ds["PixelData"].value, dtype="<i2")
            slope, intercept = float(ds["RescaleSlope"].value), float(ds["RescaleIntercept"].value)
            planes.append((stored * slope + intercept).astype("<i2").reshape(ds["Rows"].value, ds["Columns"].value))
        volume = np.stack(planes)
        total = 1000 * (time.perf_counter() - start)
        print(json.dumps({"total": total, "sha256": hashlib.sha256(volume.tobytes()).hexdigest()}), flush=True)


if __name__ == "__main__":
    main()
