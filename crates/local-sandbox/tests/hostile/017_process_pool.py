# A pool of processes, as libraries make it.
# expect: denied
# off: guard seccomp
# off-expect: worked | denied
import concurrent.futures, os

try:
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        pool.submit(os.getpid).result(timeout=5)
    reply("worked")
except (OSError, RuntimeError, concurrent.futures.process.BrokenProcessPool):
    reply("denied")
