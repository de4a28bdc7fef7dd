"""The table of anatomical codes against DICOM PS3.16 as pydicom has it, and the names that the model zoo really uses."""

import json
import re

from conftest import ROOT, SHARED
from pydicom.sr._concepts_dict import concepts

SOURCE = (ROOT / "src/formats/dicom/seg/anatomy.ts").read_text()
LINES = re.findall(r"^(\d+)\|([^|\n]+)\|(.+)$", SOURCE, re.M)


def test_every_code_stands_in_ps3_16_with_its_meaning():
    meanings = {}
    for entry in concepts["SCT"].values():
        for code, (meaning, _groups) in entry.items():
            meanings.setdefault(code, set()).add(meaning)
    assert len(LINES) > 90
    assert [(c, m) for c, m, _ in LINES if m not in meanings.get(c, ())] == []
    categories = re.findall(r"= \['(\d+)', 'SCT', '([^']+)'\]", SOURCE)
    assert ("49755003", "Morphologically Abnormal Structure") in categories


def test_no_name_has_two_codes():
    names = [name for _, _, names in LINES for name in names.split(", ")]
    assert len(names) == len(set(names))


def test_the_zoo_is_covered():
    zoo = [json.loads(path.read_text()) for path in SHARED.glob("zoo/*/configs/metadata.json")]
    assert len(zoo) == 31
    bundles = {"wholeBody_ct_segmentation": 104, "vista3d": 132, "wholeBrainSeg_Large_UNEST_segmentation": 132}
    for name, segments in bundles.items():
        metadata = json.loads((SHARED / f"zoo/{name}/configs/metadata.json").read_text())
        output = next(iter(metadata["network_data_format"]["outputs"].values()))
        assert len(output["channel_def"]) - 1 == segments
