# Secrets in the environment.
# expect: denied
# off: guard environment
import os

documented = {"HOME", "JOBLIB_MULTIPROCESSING", "LANG", "TZ", "MPLBACKEND", "MPLCONFIGDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
              "JE_ARROW_MALLOC_CONF", "MALLOC_ARENA_MAX", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "LC_CTYPE"}
reply("worked" if set(os.environ) - documented else "denied")
