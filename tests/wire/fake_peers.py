"""Peers on the other side of the server that the stand-in is not: TLS, a proxy, a full listener."""

import json
import ssl
import threading

import harness


class FullListener:
    """A loopback port that accepts no further connection."""

    def __enter__(self) -> int:
        self.listener = harness.socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.held = []
        for _ in range(4):
            one = harness.socket.socket()
            one.setblocking(False)
            one.connect_ex(self.listener.getsockname())
            self.held.append(one)
        return self.listener.getsockname()[1]

    def __exit__(self, *_):
        for one in (*self.held, self.listener):
            one.close()


class TlsProvider:
    """One answer over TLS, for as many connections as come."""

    BODY = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "over TLS"},
         "finish_reason": "stop"}]}).encode()

    def __init__(self, folder):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def __enter__(self) -> int:
        self.listener = harness.socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()
        return self.listener.getsockname()[1]

    def __exit__(self, *_):
        self.listener.close()

    def serve(self):
        while True:
            try:
                raw, _ = self.listener.accept()
                with self.context.wrap_socket(raw, server_side=True) as connection:
                    self.read_request(connection)
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                        b"Content-Length: %d\r\n\r\n" % len(self.BODY) +self.BODY)
            except OSError:
                if self.listener.fileno() < 0:
                    return

    @staticmethod
    def read_request(connection) -> None:
        """All of it: closing with unread bytes would reset the connection under the answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                      if line.lower().startswith(b"content-length"))
        while len(body) < length:
            body += connection.recv(65536)


class ConnectProxy:
    """An HTTP proxy that knows CONNECT only, and remembers what it was asked."""

    def __init__(self):
        self.seen: list[tuple[str, str]] = []

    def __enter__(self):
        self.listener = harness.socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            lines = head.decode().split("\r\n")
            target = lines[0].split()[1]
            login = next((line.split(": ", 1)[1]
                         for line in lines if line.lower().startswith("proxy-auth")), "")
            self.seen.append((target, login))
            host, port = target.rsplit(":", 1)
            provider = harness.socket.create_connection((host, int(port)))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for one, other in ((client, provider), (provider, client)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    @staticmethod
    def pump(source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(harness.socket.SHUT_WR)
        except OSError:
            pass
