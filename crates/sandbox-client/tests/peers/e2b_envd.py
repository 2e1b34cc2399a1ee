"""A daemon made of E2B's own generated messages and services: what a client sends is parsed by them, and what it gets
is serialised by them. Prints its port, and then each request as they understand it, as one line of JSON."""

import base64
import io
import json
import socketserver
import sys
import wsgiref.simple_server

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from e2b.envd.filesystem.filesystem_connect import FilesystemSync, FilesystemWSGIApplication
from e2b.envd.filesystem.filesystem_pb import EntryInfo, FileType, ListDirResponse
from e2b.envd.process.process_connect import ProcessSync, ProcessWSGIApplication
from e2b.envd.process.process_pb import ProcessEvent, SendSignalResponse, Signal, StartResponse
from protobuf import Oneof


def heard(request, context):
    headers = context.request_headers
    user = headers.get("authorization", "")
    user = base64.b64decode(user.removeprefix("Basic ")).decode() if user else None
    line = {
        "message": json.loads(request.to_json()),
        "user": user,
        "timeout_ms": context.timeout_ms,
        "sandbox": headers.get("e2b-sandbox-id"),
        "port": headers.get("e2b-sandbox-port"),
        "has_token": "x-access-token" in headers,
    }
    print(json.dumps(line), flush=True)


def event(kind, value):
    return StartResponse(event=ProcessEvent(event=Oneof(kind, value)))


def printed(stream, output):
    return event("data", ProcessEvent.DataEvent(output=Oneof(stream, output)))


class Processes(ProcessSync):
    def start(self, request, context):
        heard(request, context)
        command = request.process.cmd
        if command == "missing":
            raise ConnectError(Code.NOT_FOUND, "no such program")
        yield event("start", ProcessEvent.StartEvent(pid=7))
        yield event("keepalive", ProcessEvent.KeepAlive())
        if command == "breaks":
            raise ConnectError(Code.UNAVAILABLE, "the machine goes down")
        if command == "prints":
            yield printed("stdout", bytes(range(256)))
            yield printed("stderr", "ünïcode".encode())
            yield printed("stdout", b"x" * (1 << 20))
            yield printed("stdout", b"")
            yield event("end", ProcessEvent.EndEvent(exit_code=3, exited=True, status="exit status 3", error="exit status 3"))
        elif command == "is killed":
            yield event("end", ProcessEvent.EndEvent(exit_code=-1, exited=False, status="signal: killed"))
        elif command == "vanishes":
            return
        else:
            yield event("end", ProcessEvent.EndEvent(exit_code=0, exited=True, status="exit status 0"))

    def send_signal(self, request, context):
        heard(request, context)
        if request.process.selector.value != 7:
            raise ConnectError(Code.NOT_FOUND, "no such process")
        assert request.signal in (Signal.SIGTERM, Signal.SIGKILL), request
        return SendSignalResponse()


class Files(FilesystemSync):
    def list_dir(self, request, context):
        heard(request, context)
        if request.path == "/nowhere":
            raise ConnectError(Code.NOT_FOUND, "no such folder")
        if request.path == "/empty":
            return ListDirResponse()
        return ListDirResponse(
            entries=[
                EntryInfo(name="large", type=FileType.FILE, path="/d/large", size=1 << 40),
                EntryInfo(name="empty", type=FileType.FILE, path="/d/empty", size=0),
                EntryInfo(name="folder", type=FileType.DIRECTORY, path="/d/folder"),
                EntryInfo(name="link", type=FileType.FILE, path="/d/link", symlink_target="/etc/passwd"),
                EntryInfo(name="odd", path="/d/odd"),
            ]
        )


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


processes, files = ProcessWSGIApplication(Processes()), FilesystemWSGIApplication(Files())


def route(environment, start_response):
    # The body alone: what follows it on the connection never ends.
    body = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
    environment["wsgi.input"] = io.BytesIO(body)
    service = files if environment["PATH_INFO"].startswith("/filesystem.") else processes
    return service(environment, start_response)


server = wsgiref.simple_server.make_server("127.0.0.1", 0, route, server_class=Server, handler_class=Quiet)
print(server.server_port, flush=True)
sys.stdin.close()
server.serve_forever()
