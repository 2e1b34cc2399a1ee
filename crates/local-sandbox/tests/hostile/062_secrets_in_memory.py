# Secrets that an earlier owner of its memory may have left: the interpreter was started with an empty environment.
# expect: denied
# off: guard environment
import ctypes, os

libc = ctypes.CDLL(None)
environment = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
names, place = [], 0
while environment[place]:
    names.append(environment[place].split(b"=")[0].decode())
    place += 1
documented = {"HOME", "JOBLIB_MULTIPROCESSING", "LANG", "TZ", "MPLBACKEND", "MPLCONFIGDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
              "JE_ARROW_MALLOC_CONF", "MALLOC_ARENA_MAX", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "LC_CTYPE"}
reply("worked" if set(names) - documented else "denied")
