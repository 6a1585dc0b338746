"""A web server before workers: each request is a job of the queue "web", its result the response.

    python gateway.py [PORT]            then: curl http://127.0.0.1:8080/anything

Whatever serves the queue speaks no HTTP: the request comes as headers by their CGI names and as payload, such as
examples-c/plugins/web.c reads them. `Gateway` is a WSGI application (PEP 3333) for any server of that kind.
"""

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import forebay

# The longest body of a request.
BODY_LEN_MAX = 16 << 20


class Gateway:
    def __init__(self, client, queue="web", timeout=30):
        self.client, self.queue, self.timeout = client, queue, timeout

    def __call__(self, environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > BODY_LEN_MAX:
            return self.refuse(start_response, "413 Content Too Large", f"more than {BODY_LEN_MAX} bytes")
        try:
            body, headers = environ["wsgi.input"].read(length), request(environ)
            deadline_ms = round(self.timeout * 1000)
            future = self.client.submit(
                self.queue, body, headers=headers, timeout=self.timeout, deadline_ms=deadline_ms
            )
            result = future.wait(self.timeout + 1)
        except forebay.Error as error:  # no broker
            return self.refuse(start_response, "503 Service Unavailable", str(error))
        if result.outcome is forebay.Outcome.EXPIRED:
            return self.refuse(start_response, "504 Gateway Timeout", result.message)
        if result.outcome is not forebay.Outcome.DONE:
            return self.refuse(start_response, "502 Bad Gateway", f"{result.outcome.name}: {result.message}")
        headers = {name: value.decode("latin-1") for name, value in result.headers.items()}
        status = headers.pop("status", "200 OK")
        start_response(status, [*headers.items(), ("Content-Length", str(len(result.data)))])
        return [result.data]

    @staticmethod
    def refuse(start_response, status, why):
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{status}\n{why}\n".encode()]


def request(environ):
    """The headers of the job: what CGI calls the request's meta-variables."""
    return {name: value.encode("latin-1") for name, value in environ.items() if is_of_request(name) and value}


def is_of_request(name):
    return name.startswith(("HTTP_", "REQUEST_", "REMOTE_", "SERVER_", "CONTENT_")) or name in (
        "PATH_INFO",
        "QUERY_STRING",
        "SCRIPT_NAME",
    )


class Server(ThreadingMixIn, WSGIServer):
    """One thread for each connection: they wait for their jobs side by side."""

    daemon_threads = True


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    with forebay.Client() as client, make_server("127.0.0.1", port, Gateway(client), Server) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
