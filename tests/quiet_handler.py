"""What the tests' servers share."""

from http.server import BaseHTTPRequestHandler


class QuietHandler(BaseHTTPRequestHandler):
    """Answers with whole bodies, and logs nothing."""

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Sends an answer; to HEAD without its body."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""
