# Modules of its own in the place of others: for itself it may, for the next program not.
# expect: denied
# off: none, the libraries lie on mounts that nobody in the jail can write to
import os, site, sys, sysconfig

for name in ("json.py", "pandas.py", "sitecustomize.py", "usercustomize.py"):
    with open(name, "w") as file:
        file.write("mine = True\n")
sys.path.insert(0, "/scratch")
sys.modules.pop("json", None)
import json
assert json.mine
worked = []
folders = {sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), *site.getsitepackages(), *sys.path} - {"/scratch", ""}
for folder in folders:
    for name in ("sitecustomize.py", "usercustomize.py", "mine.pth", "json.py"):
        try:
            with open(os.path.join(folder, name), "a"):
                worked.append(folder)
        except OSError:
            pass
os.environ["PYTHONPATH"] = os.environ["PYTHONSTARTUP"] = "/scratch"
reply("worked" if worked else "denied")
