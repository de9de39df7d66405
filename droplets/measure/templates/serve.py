# What a measured droplet answers on port 80: who it is, and from which address
# it was asked. Python is there because cloud-init is written in it.
import http.server
import json

ME = json.load(open("/etc/cattle/release.json"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a connection stays open

    def do_GET(self):
        body = ME["attempt"] if self.path == ME["identity_path"] else self.client_address[0]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("", 80), Handler).serve_forever()
