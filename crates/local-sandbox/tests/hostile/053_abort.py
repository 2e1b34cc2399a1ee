# Aborts; the first process of a namespace cannot be ended by SIGABRT, and glibc then stops it by force.
# expect: signal 11
# landlock: signal 6
# off: none, only the program itself is hurt
import os

os.abort()
