# answer: [[["a", "1"]], {"k": [1, 2]}, "v", "<a>1</a>", "aGk=", "2cf24dba"]
import base64
import configparser
import csv
import hashlib
import io
import json
from xml.etree import ElementTree

rows = list(csv.reader(io.StringIO("a,1\n")))
document = json.loads(json.dumps({"k": [1, 2]}))
settings = configparser.ConfigParser()
settings.read_string("[s]\nk = v\n")
tree = ElementTree.fromstring("<a>1</a>")
digest = hashlib.sha256(b"hello").hexdigest()[:8]
reply([
    rows, document, settings["s"]["k"], ElementTree.tostring(tree).decode(), base64.b64encode(b"hi").decode(), digest,
])
