"""LLMock on a free port; with arguments `rpm N` under a quota of N requests a minute."""

import signal
import sys

from llmock.main import create_app
from llmock.ratelimit import LimitSettings
from llmock.testing import LLMockServer

server = LLMockServer()
if sys.argv[1:2] == ["rpm"]:
    server.app = create_app(limits=LimitSettings(rpm=int(sys.argv[2])))
server.start()
print(f"listening {server.port}", flush=True)
signal.sigwait([signal.SIGTERM, signal.SIGINT])
