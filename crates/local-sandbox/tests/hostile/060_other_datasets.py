# Another dataset under the inputs root, which is not in this job.
# expect: denied
# off: guard hidden-inputs,landlock
import os

found = []
for root in ("/inputs", "/data/..", "/data", "/scratch/..", "/tmp/.."):
    for folder in (root, root + "/inputs"):
        try:
            found += [name for name in os.listdir(folder) if "canary" in name]
        except OSError:
            pass
try:
    found.append(str(len(open("/inputs/canary.csv").read())))
except OSError:
    pass
reply("worked" if found else "denied")
