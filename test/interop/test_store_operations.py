"""Every operation of the service model, called by boto3; each answer is judged by botocore's own shapes."""

import gzip
import json
import re

import boto3
import pydicom
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from store_process import client_of, import_folder, running_store

called = set()


def check_shape(value, shape, place):
    """Members, enumerations, patterns and ranges of an answer as it came over the wire."""
    if shape.type_name == "structure":
        known = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for key, part in value.items():
            assert key in known, f"{place}.{key} is no member of {shape.name}"
            assert part is not None, f"{place}.{key} is null"
            check_shape(part, known[key], f"{place}.{key}")
    elif shape.type_name == "list":
        for index, part in enumerate(value):
            check_shape(part, shape.member, f"{place}[{index}]")
    elif shape.type_name == "map":
        for part in value.values():
            check_shape(part, shape.value, place)
    elif shape.type_name == "string":
        assert isinstance(value, str), place
        assert not shape.enum or value in shape.enum, f"{place}: {value}"
        pattern = shape.metadata.get("pattern")
        # Places of this store are file URIs where the service has S3 only.
        if pattern and r"\p{" not in pattern and not value.startswith("file:"):
            assert re.fullmatch(pattern, value), f"{place}: {value!r} is not {pattern}"
        assert shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", len(value)), place
    elif shape.type_name == "timestamp":
        assert isinstance(value, (int, float)), place
    elif shape.type_name in ("integer", "long"):
        assert isinstance(value, int) and not isinstance(value, bool), place
    elif shape.type_name == "boolean":
        assert isinstance(value, bool), place


def judge(http_response, parsed, model, **_):
    if http_response.status_code != 200:
        return
    called.add(model.name)
    answer = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
    report = ParamValidator().validate(answer, model.output_shape)
    assert not report.has_errors(), report.generate_report()
    if not model.has_streaming_output:
        check_shape(json.loads(http_response.content), model.output_shape, model.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("operations")


@pytest.fixture(scope="module")
def client(folder):
    with running_store(folder / "data", folder) as url:
        client = client_of(url)
        client.meta.events.register("after-call.medical-imaging.*", judge)
        yield client


def write_series(target, series, count, study="1.2.3", **change):
    target.mkdir()
    source = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    for number in range(count):
        source.StudyInstanceUID, source.SeriesInstanceUID = study, series
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
        source.InstanceNumber = number
        for keyword, value in change.items():
            setattr(source, keyword, value)
        source.save_as(target / f"{number}.dcm", enforce_file_format=True)
    return target


def updates(**edits):
    return {"DICOMUpdates": {name: json.dumps({"SchemaVersion": 1.1, **edit}) for name, edit in edits.items()}}


class Store:
    def __init__(self, client, folder):
        self.client, self.folder = client, folder
        self.id = client.create_datastore(datastoreName=folder.name)["datastoreId"]

    def take(self, source):
        """Imports a folder that makes one image set; gives its id."""
        _, summary = import_folder(self.client, self.id, source, self.folder / "out")
        (made,) = summary["imageSetsSummary"]
        return made["imageSetId"]

    def get(self, image_set, **version):
        return self.client.get_image_set(datastoreId=self.id, imageSetId=image_set, **version)

    def document(self, image_set, **version):
        answer = self.client.get_image_set_metadata(datastoreId=self.id, imageSetId=image_set, **version)
        return json.loads(gzip.decompress(answer["imageSetMetadataBlob"].read()))

    def frame(self, image_set, frame):
        information = {"imageFrameId": frame}
        answer = self.client.get_image_frame(
            datastoreId=self.id, imageSetId=image_set, imageFrameInformation=information
        )
        return answer["imageFrameBlob"].read()

    def update(self, image_set, version, change, **options):
        return self.client.update_image_set_metadata(
            datastoreId=self.id,
            imageSetId=image_set,
            latestVersionId=version,
            updateImageSetMetadataUpdates=change,
            **options,
        )

    def copy(self, source, version, destination=None, copies=None, **options):
        information = {"sourceImageSet": {"latestVersionId": version}}
        if copies:
            information["sourceImageSet"]["DICOMCopies"] = {"copiableAttributes": json.dumps(copies)}
        if destination:
            information["destinationImageSet"] = dict(zip(("imageSetId", "latestVersionId"), destination))
        answer = self.client.copy_image_set(
            datastoreId=self.id, sourceImageSetId=source, copyImageSetInformation=information, **options
        )
        return answer["destinationImageSetProperties"]["imageSetId"]


def refused(code, call, *args, **kwargs):
    with pytest.raises(ClientError) as raised:
        call(*args, **kwargs)
    error = raised.value.response["Error"]
    assert error["Code"] == code, error
    assert error["Message"]


def instances_of(document):
    (series,) = document["Study"]["Series"].values()
    return series["Instances"]


def test_updates_make_versions_and_go_back(client, folder):
    store = Store(client, folder)
    image_set = store.take(write_series(folder / "update", "1.2.3.1", 3))
    before = store.document(image_set)
    change = updates(
        updatableAttributes={"Patient": {"DICOM": {"PatientName": "MX^MX"}}, "Study": {"DICOM": {"AccessionNumber": "A7"}}},
        removableAttributes={"Study": {"DICOM": {"StudyDescription": "any"}}},
    )
    answer = store.update(image_set, "1", change)
    assert (answer["latestVersionId"], answer["imageSetState"]) == ("2", "LOCKED")
    got = store.get(image_set)
    assert (got["versionId"], got["imageSetState"], got["imageSetWorkflowStatus"]) == ("2", "ACTIVE", "UPDATED")
    after = store.document(image_set)
    assert after["Patient"]["DICOM"]["PatientName"] == "MX^MX"
    assert after["Study"]["DICOM"]["AccessionNumber"] == "A7"
    assert "StudyDescription" in before["Study"]["DICOM"] and "StudyDescription" not in after["Study"]["DICOM"]
    assert instances_of(after) == instances_of(before)
    assert store.document(image_set, versionId="1") == before
    criteria = {"filters": [{"operator": "EQUAL", "values": [{"DICOMAccessionNumber": "A7"}]}]}
    found = client.search_image_sets(datastoreId=store.id, searchCriteria=criteria)["imageSetsMetadataSummaries"]
    assert [each["DICOMTags"]["DICOMPatientName"] for each in found] == ["MX^MX"]

    # An instance leaves, and its frame with it; going back brings both again.
    gone = {"Study": {"Series": {"1.2.3.1": {"Instances": {"1.2.3.1.1": {}}}}}}
    store.update(image_set, "2", updates(removableAttributes=gone))
    assert sorted(instances_of(store.document(image_set))) == ["1.2.3.1.0", "1.2.3.1.2"]
    frame = instances_of(before)["1.2.3.1.1"]["ImageFrames"][0]["ID"]
    refused("ResourceNotFoundException", store.frame, image_set, frame)
    store.update(image_set, "3", {"revertToVersionId": "1"})
    assert store.document(image_set) == before
    assert store.frame(image_set, frame)
    listed = client.list_image_set_versions(datastoreId=store.id, imageSetId=image_set)["imageSetPropertiesList"]
    assert [each["versionId"] for each in listed] == ["4", "3", "2", "1"]
    assert [each["ImageSetWorkflowStatus"] for each in listed] == ["UPDATED", "UPDATED", "UPDATED", "CREATED"]


def test_updates_keep_the_service_s_constraints(client, folder):
    store = Store(client, folder)
    image_set = store.take(write_series(folder / "rules", "1.2.4.1", 2, study="1.2.4"))

    def edit(attributes, level="Study", **options):
        at = {"Patient": {"Patient": {"DICOM": attributes}}, "Study": {"Study": {"DICOM": attributes}}}.get(level) or {
            "Study": {"Series": {"1.2.4.1": {"Instances": {"1.2.4.1.0": {"DICOM": attributes}}}}}
        }
        return store.update(image_set, "1", updates(updatableAttributes=at), **options)

    for attributes, level, force in [
        ({"PatientName": "A"}, "Study", True),  # of another level
        ({"StudyID": "5"}, "Study", False),  # force only
        ({"StudyInstanceUID": "9.9"}, "Study", True),  # not in a primary image set
        ({"Nonsense": "5"}, "Study", False),
        ({"StudyDate": "tomorrow"}, "Study", False),
        ({"StudyDate": 20200101}, "Study", True),
        ({"ReferencedStudySequence": []}, "Study", False),
        ({"Rows": 64}, "Instance", True),  # the frames would be read wrongly
        ({"PixelData": None}, "Instance", True),
        ({"TransferSyntaxUID": "1.2.840.10008.1.2"}, "Instance", True),
        ({"00091001": "x"}, "Instance", False),  # private
    ]:
        refused("ValidationException", edit, attributes, level, force=force)
    good = updates(updatableAttributes={"Study": {"DICOM": {"StudyDescription": "x"}}})
    refused("ConflictException", store.update, image_set, "7", good)
    refused("ValidationException", store.update, image_set, "1", {"revertToVersionId": "1"})
    refused("ValidationException", store.update, image_set, "1", {"DICOMUpdates": {}})
    refused("ValidationException", store.update, image_set, "1", {"DICOMUpdates": {"updatableAttributes": "{"}})
    whole = {"Study": {"Series": {"1.2.4.1": {"Instances": {"1.2.4.1.0": {}, "1.2.4.1.1": {}}}}}}
    refused("ValidationException", store.update, image_set, "1", updates(removableAttributes=whole))
    big = updates(updatableAttributes={"Study": {"DICOM": {"StudyDescription": "x" * 11_000}}})
    refused("ServiceQuotaExceededException", store.update, image_set, "1", big)
    assert store.get(image_set)["versionId"] == "1"
    private = {"Study": {"Series": {"1.2.4.1": {"Instances": {"1.2.4.1.0": {
        "DICOM": {"00990010": "MINE", "00991001": "x"}, "DICOMVRs": {"00990010": "LO", "00991001": "SH"}}}}}}}
    store.update(image_set, "1", updates(updatableAttributes=private), force=True)
    assert store.get(image_set)["overrides"] == {"forced": True}
    assert instances_of(store.document(image_set))["1.2.4.1.0"]["DICOM"]["00991001"] == "x"


def test_a_study_is_updated_in_all_its_primary_image_sets(client, folder):
    store = Store(client, folder)
    first = store.take(write_series(folder / "s1", "1.2.5.1", 1, study="1.2.5"))
    second = store.take(write_series(folder / "s2", "1.2.5.2", 1, study="1.2.5"))
    change = updates(updatableAttributes={"Patient": {"DICOM": {"PatientID": "NEW"}}})
    refused("ValidationException", store.update, first, "1", change)
    store.update(first, "1", change, includeStudyImageSets=True)
    for image_set in (first, second):
        assert store.document(image_set)["Patient"]["DICOM"]["PatientID"] == "NEW"
        assert store.get(image_set)["versionId"] == "2"
    refused("ConflictException", store.update, first, "2", {"revertToVersionId": "1"})
    refused("ValidationException", store.update, first, "2", {"revertToVersionId": "1"}, includeStudyImageSets=True)


def test_copies_split_merge_and_promote(client, folder):
    store = Store(client, folder)
    image_set = store.take(write_series(folder / "copy", "1.2.6.1", 4, study="1.2.6"))
    source = store.document(image_set)
    whole = store.copy(image_set, "1")
    got = store.get(whole)
    assert (got["versionId"], got["imageSetWorkflowStatus"], got["isPrimary"]) == ("1", "COPIED", False)
    copied = store.document(whole)
    assert copied["ImageSetID"] == whole and copied["Study"] == source["Study"]
    for instance in instances_of(source).values():
        frame = instance["ImageFrames"][0]["ID"]
        assert store.frame(whole, frame) == store.frame(image_set, frame)

    def some(*numbers):
        chosen = {f"1.2.6.1.{number}": {} for number in numbers}
        return {"SchemaVersion": "1.1", "Study": {"Series": {"1.2.6.1": {"Instances": chosen}}}}

    part = store.copy(image_set, "1", copies=some(0, 1))
    assert sorted(instances_of(store.document(part))) == ["1.2.6.1.0", "1.2.6.1.1"]
    refused("ConflictException", store.copy, image_set, "1", (part, "1"))  # instances twice
    refused("ConflictException", store.copy, image_set, "2")
    refused("ValidationException", store.copy, image_set, "1", copies=some(9))
    refused("ResourceNotFoundException", store.copy, image_set, "1", ("0" * 32, "1"))
    assert store.copy(image_set, "1", (part, "1"), some(3)) == part
    assert sorted(instances_of(store.document(part))) == [f"1.2.6.1.{number}" for number in (0, 1, 3)]
    assert store.get(part)["versionId"] == "2"

    # The copy lives on its own.
    client.delete_image_set(datastoreId=store.id, imageSetId=image_set)
    for instance in instances_of(store.document(whole)).values():
        assert store.frame(whole, instance["ImageFrames"][0]["ID"])
    promoted = store.copy(part, "2", promoteToPrimary=True)
    assert promoted != part and store.get(promoted)["isPrimary"] is True
    # A new import joins the primary image set, not a copy.
    assert store.take(write_series(folder / "again", "1.2.6.1", 1, study="1.2.6")) == promoted

    # Another patient's: without force refused, with it the destination's attributes stay.
    other = store.take(write_series(folder / "other", "1.2.7.1", 1, study="1.2.7", PatientID="OTHER"))
    refused("ConflictException", store.copy, other, "1", (part, "2"))
    store.copy(other, "1", (part, "2"), force=True)
    merged = store.document(part)
    assert merged["Patient"]["DICOM"] == source["Patient"]["DICOM"]
    assert sorted(instances_of(merged)) == ["1.2.6.1.0", "1.2.6.1.1", "1.2.6.1.3", "1.2.7.1.0"]


def test_identifiers_change_in_image_sets_that_are_not_primary(client, folder):
    store = Store(client, folder)
    copy = store.copy(store.take(write_series(folder / "ids", "1.2.8.1", 1, study="1.2.8")), "1")
    new = {"Study": {"DICOM": {"StudyInstanceUID": "9.8"}, "Series": {"1.2.8.1": {
        "DICOM": {"SeriesInstanceUID": "9.8.1"}, "Instances": {"1.2.8.1.0": {"DICOM": {"SOPInstanceUID": "9.8.1.0"}}}}}}}
    refused("ValidationException", store.update, copy, "1", updates(updatableAttributes=new))
    store.update(copy, "1", updates(updatableAttributes=new), force=True)
    document = store.document(copy)
    assert list(document["Study"]["Series"]) == ["9.8.1"] and list(instances_of(document)) == ["9.8.1.0"]
    promoted = store.copy(copy, "2", promoteToPrimary=True)
    assert store.get(promoted)["isPrimary"] is True
    criteria = {"filters": [{"operator": "EQUAL", "values": [{"DICOMStudyInstanceUID": "9.8"}]},
                            {"operator": "EQUAL", "values": [{"isPrimary": True}]}]}
    found = client.search_image_sets(datastoreId=store.id, searchCriteria=criteria)
    assert [each["imageSetId"] for each in found["imageSetsMetadataSummaries"]] == [promoted]


def test_a_store_with_a_token_checks_signatures(folder):
    with running_store(folder / "closed", folder, token="secret") as url:
        config = Config(inject_host_prefix=False, retries={"total_max_attempts": 1})
        keys = {"aws_access_key_id": "any", "endpoint_url": url, "config": config}
        right = boto3.client("medical-imaging", aws_secret_access_key="secret", **keys)
        datastore = right.create_datastore(datastoreName="signed", tags={"a b": "c d/e"})["datastoreId"]
        arn = right.get_datastore(datastoreId=datastore)["datastoreProperties"]["datastoreArn"]
        assert right.list_tags_for_resource(resourceArn=arn)["tags"] == {"a b": "c d/e"}
        right.untag_resource(resourceArn=arn, tagKeys=["a b", "z"])
        assert right.list_datastores(maxResults=2)["datastoreSummaries"]
        wrong = boto3.client("medical-imaging", aws_secret_access_key="Secret", **keys)
        refused("AccessDeniedException", wrong.get_datastore, datastoreId=datastore)


def test_every_operation_was_called_and_answered_in_its_shape(client, folder):
    """Last in the file: what the tests above did not call is called here, then the list must be whole."""
    store = Store(client, folder)
    client.list_datastores(datastoreStatus="ACTIVE", maxResults=1)
    arn = client.get_datastore(datastoreId=store.id)["datastoreProperties"]["datastoreArn"]
    client.tag_resource(resourceArn=arn, tags={"a": "b"})
    client.list_tags_for_resource(resourceArn=arn)
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    client.list_dicom_import_jobs(datastoreId=store.id)
    client.delete_datastore(datastoreId=store.id)
    assert called == set(client.meta.service_model.operation_names)
