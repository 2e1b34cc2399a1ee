# Another dataset under the inputs root, which is not in this job: by its name, by its place on the machine, by a list.
# expect: denied
# off: guard hidden-inputs,landlock
import os

found = []
for root in ("/inputs", "/data/..", "/data", "/scratch/..", "/tmp/..", os.path.dirname(parameters["canary"])):
    for folder in (root, root + "/inputs"):
        try:
            found += [name for name in os.listdir(folder) if "canary" in name]
        except OSError:
            pass
for path in ("/inputs/canary.csv", parameters["canary"]):
    try:
        found.append(str(len(open(path).read())))
    except OSError:
        pass
reply("worked" if found else "denied")
