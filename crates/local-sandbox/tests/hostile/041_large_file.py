# Writes a file of 4 MB, and one with a terabyte of nothing.
# expect: denied
# limits: file=1
# off: limits file=2097152
import os

refused = 0
try:
    with open("large", "wb") as file:
        file.write(b"x" * (4 << 20))
except OSError as error:
    refused += error.errno == 27
try:
    with open("sparse", "wb") as file:
        os.ftruncate(file.fileno(), 1 << 40)
except OSError as error:
    refused += error.errno == 27
reply({0: "worked", 2: "denied"}.get(refused, refused))
