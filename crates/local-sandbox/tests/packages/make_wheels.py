import hashlib, os, sys, zipfile

folder, heavy = sys.argv[1], int(sys.argv[2])
for name in sys.argv[3:]:
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": f"# {name}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if name == "heavy":
        files[f"{name}/data"] = os.urandom(heavy)
    record = f"{info}/RECORD"
    files[record] = "".join(f"{file},,\n" for file in [*files, record])
    path = os.path.join(folder, f"{name}-1.0-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in files.items():
            wheel.writestr(file, content)
    with open(path, "rb") as wheel:
        print(name, hashlib.sha256(wheel.read()).hexdigest())
