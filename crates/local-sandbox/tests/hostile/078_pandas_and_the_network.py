# Readers of pandas and matplotlib that take an address: refused where the socket would be made.
# expect: denied
# limits: memory=1024
# off: guard seccomp
import errno
import pandas, matplotlib.pyplot as plt

address = f"http://127.0.0.1:{parameters['port']}/x"
reached = []
for attempt in (
    lambda: pandas.read_csv(address + ".csv"),
    lambda: pandas.read_json(address + ".json"),
    lambda: pandas.read_excel(address + ".xlsx"),
    lambda: pandas.read_html(address + ".html"),
    lambda: pandas.read_parquet("s3://bucket/x.parquet"),
    lambda: plt.imread(address + ".png"),
):
    try:
        attempt()
        print("CONNECTED")
    except Exception as error:
        reason = getattr(error, "reason", error)
        # Without the filter it is the network that is missing.
        if getattr(reason, "errno", None) in (errno.ENETUNREACH, errno.ECONNREFUSED, errno.EACCES):
            reached.append(str(reason))
reply("worked" if reached else "denied")
