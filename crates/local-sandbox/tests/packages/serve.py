import http.server, os, sys, time
folder, delay = sys.argv[1], float(sys.argv[2])
class Index(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        parts = [p for p in self.path.split("?")[0].split("/") if p]
        if parts[0] == "simple":
            name = f"{parts[1]}-1.0-py3-none-any.whl"
            kind, body = "text/html", f'<html><body><a href="/files/{name}">{name}</a></body></html>'.encode()
        else:
            print(parts[1], flush=True)
            time.sleep(delay)
            kind, body = "application/octet-stream", open(os.path.join(folder, parts[1]), "rb").read()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("cache-control", "no-store")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
print(server.server_address[1], flush=True)
server.serve_forever()
