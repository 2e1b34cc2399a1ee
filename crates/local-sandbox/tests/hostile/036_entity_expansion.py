# XML of a few lines that stands for a gigabyte.
# expect: denied
# limits: memory=96 wall=10
# off: none, the parser's own limit comes before the limit on memory
from xml.etree import ElementTree

entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
document = f'<!DOCTYPE d [<!ENTITY e0 "laughs">{entities}]><d>&e9;</d>'
try:
    ElementTree.fromstring(document)
    verdict = "worked"
except (ElementTree.ParseError, MemoryError):
    verdict = "denied"
reply(verdict)
