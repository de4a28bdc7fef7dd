"""The store's metadata documents beside a real one of the service: valid by the JSON Schema that is derived from it."""

import gzip
import json
import pathlib

import jsonschema
import pydicom
import pytest
from store_process import client_of, import_folder, running_store

UID = "^[0-9.]+$"
VALUE = {
    "anyOf": [
        {"type": ["string", "number", "null"]},
        {"type": "array", "items": {"type": ["string", "number", "null"]}},
        {"type": "array", "items": {"type": "object"}},
    ]
}


def kind(value):
    names = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null", list: "array", dict: "object"}
    return names[type(value)]


def merged(examples):
    """A schema that all examples meet: keys that every one has are required, and no others are allowed."""
    kinds = sorted({kind(each) for each in examples})
    schema = {"type": kinds}
    objects = [each for each in examples if isinstance(each, dict)]
    if objects:
        keys = set().union(*objects)
        if all(key.replace(".", "").isdigit() for key in keys) and keys:
            schema["patternProperties"] = {UID: merged([value for each in objects for value in each.values()])}
        else:
            schema["properties"] = {key: merged([each[key] for each in objects if key in each]) for key in keys}
            schema["required"] = sorted(set.intersection(*(set(each) for each in objects)))
        schema["additionalProperties"] = False
    items = [item for each in examples if isinstance(each, list) for item in each]
    if items:
        schema["items"] = merged(items)
    return schema


def attributes(examples):
    """Attributes may be any; those that the real document has keep their types (or are empty)."""
    keys = set().union(*examples)
    typed = {}
    for key in keys:
        known = {kind(each[key]) for each in examples if key in each} | {"null"}
        typed[key] = {"type": sorted(known)} if known != {"null"} else VALUE
    return {"type": "object", "properties": typed, "additionalProperties": VALUE}


def schema_of(document):
    schema = merged([document])
    study = schema["properties"]["Study"]["properties"]
    series = study["Series"]["patternProperties"][UID]["properties"]
    instance = series["Instances"]["patternProperties"][UID]
    real_series = list(document["Study"]["Series"].values())
    real_instances = [each for one in real_series for each in one["Instances"].values()]
    schema["properties"]["Patient"]["properties"]["DICOM"] = attributes([document["Patient"]["DICOM"]])
    study["DICOM"] = attributes([document["Study"]["DICOM"]])
    series["DICOM"] = attributes([each["DICOM"] for each in real_series])
    instance["properties"]["DICOM"] = attributes([each["DICOM"] for each in real_instances])
    vrs = {"type": "string", "pattern": "^[A-Z]{2}$"}
    instance["properties"]["DICOMVRs"] = {"type": "object", "additionalProperties": vrs}
    # Developer guide: there where the frames are not in the data store's format. The real document has none.
    instance["properties"].setdefault("StoredTransferSyntaxUID", {"type": "string", "pattern": UID})
    instance["required"] = [name for name in instance["required"] if name != "StoredTransferSyntaxUID"]
    return schema


@pytest.fixture(scope="module")
def schema(shared):
    real = json.loads(gzip.decompress((shared / "data" / "healthimaging-metadata-588.json.gz").read_bytes()))
    schema = schema_of(real)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(real, schema)
    return schema


def test_the_schema_finds_what_is_wrong(schema, shared):
    real = json.loads(gzip.decompress((shared / "data" / "healthimaging-metadata-588.json.gz").read_bytes()))
    (series,) = real["Study"]["Series"].values()
    frame = next(iter(series["Instances"].values()))["ImageFrames"][0]
    frame["PixelDataChecksumFromBaseToFullResolution"][0]["Checksum"] = "text"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(real, schema)


def test_documents_of_the_store_are_valid(schema, shared, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    names = ["MR_small_implicit", "examples_rgb_color", "SC_rgb_rle_2frame", "liver_1frame", "priv_SQ", "reportsi"]
    for number, name in enumerate(names):
        dataset = pydicom.dcmread(pydicom.data.get_testdata_file(f"{name}.dcm"))
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.7.{number}", f"1.7.{number}.1"
        dataset.SOPInstanceUID, dataset.SOPClassUID = f"1.7.{number}.1.1", dataset.get("SOPClassUID") or "1.2.3"
        dataset.save_as(source / f"{name}.dcm", enforce_file_format=True)
    for path in sorted(pathlib.Path(shared / "data" / "ct-abdomen-30").iterdir())[:5]:
        (source / path.name).write_bytes(path.read_bytes())
    with running_store(tmp_path / "data", tmp_path) as url:
        client = client_of(url)
        datastore_id = client.create_datastore(datastoreName="schema")["datastoreId"]
        _, summary = import_folder(client, datastore_id, source, tmp_path / "out")
        assert summary["numberOfGeneratedImageSets"] == len(names) + 1
        for made in summary["imageSetsSummary"]:
            answer = client.get_image_set_metadata(datastoreId=datastore_id, imageSetId=made["imageSetId"])
            jsonschema.validate(json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read())), schema)
