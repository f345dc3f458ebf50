#!/usr/bin/env python3
"""Reads an in-toto statement with the official bindings, unknown fields forbidden, and checks what they check.

    pip install in-toto-attestation
    python3 .ci/intoto.py reports/verdict.intoto.json prompts/v2.prompt
"""

import hashlib
import json
import sys

import in_toto_attestation.predicates.test_result.v0.test_result_pb2 as test_result
import in_toto_attestation.v1.statement_pb2 as statement_pb2
from google.protobuf import json_format
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

path, prompt = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    document = json.load(file)
message = json_format.ParseDict(document, statement_pb2.Statement(), ignore_unknown_fields=False)
Statement.copy_from_pb(message).validate()
assert message.predicate_type == "https://in-toto.io/attestation/test-result/v0.1", message.predicate_type
predicate = json_format.ParseDict(document["predicate"], test_result.TestResult(), ignore_unknown_fields=False)
assert predicate.result in ("PASSED", "WARNED", "FAILED"), predicate.result
assert predicate.configuration
for resource in predicate.configuration:
    ResourceDescriptor.copy_from_pb(resource).validate()
with open(prompt, "rb") as file:
    digest = hashlib.sha256(file.read()).hexdigest()
assert message.subject[0].digest["sha256"] == digest, (message.subject[0], digest)
print(f"{path}: a statement of type test-result, {predicate.result}, about {message.subject[0].name}")
