"""A server with the part of the Kubernetes API that runs need: Workflows, pods, logs, events.

It answers with what was recorded of a real one.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_WORKFLOWS = "argoproj.io/v1alpha1"


class KubernetesServer:
    """The state of the server, and the requests it received.

    Args:
        namespaces: Namespaces that may be read; None: all of them, and lists of all of them.
    """

    def __init__(self) -> None:
        self.namespaces: list[str] | None = None
        self.pods: list[dict[str, Any]] = []
        self.workflows: list[dict[str, Any]] = []
        self.logs: dict[str, str] = {}
        self.events: list[dict[str, Any]] = []
        self.service_accounts: list[tuple[str, str]] = []
        self.deleted: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def _serve(self) -> None:
                split = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(split.query).items()}
                status, answer = server.answer(self.command, split.path, query)
                is_text = isinstance(answer, str)
                text = (answer if is_text else json.dumps(answer)).encode()
                self.send_response(status)
                kind = "text/plain" if is_text else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_DELETE = _serve  # noqa: N815

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def kubeconfig(self) -> str:
        server = f"http://127.0.0.1:{self._http.server_port}"
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": server}}],
                "users": [{"name": "test", "user": {}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            }
        )

    def show(self, moment: dict[str, Any]) -> None:
        """Have the Workflow and the pods of a recorded moment."""
        self.pods = [dict(pod) for pod in moment["pods"]]
        self.workflows = [moment["workflow"]] if moment["workflow"] else []

    def answer(self, method: str, path: str, query: dict[str, str]) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else ""
        if self.namespaces is not None and namespace not in self.namespaces:
            return 403, {"kind": "Status", "code": 403, "reason": "Forbidden"}
        if parts[-1] == "workflows":
            return 200, {"items": _selected(self.workflows, namespace, query)}
        if parts[-1] == "pods":
            return 200, {"items": _selected(self.pods, namespace, query)}
        if parts[-1] == "events":
            return 200, {"items": self.events}
        if parts[-1] == "log" and parts[-2] in self.logs:
            return 200, self.logs[parts[-2]]
        if parts[-2] == "serviceaccounts" and (namespace, parts[-1]) in self.service_accounts:
            return 200, {"metadata": {"name": parts[-1], "namespace": namespace}}
        if method == "DELETE" and parts[-2] == "pods":
            self.pods = [pod for pod in self.pods if pod["metadata"]["name"] != parts[-1]]
            self.deleted.append(parts[-1])
            return 200, {"kind": "Status", "status": "Success"}
        return 404, {"kind": "Status", "code": 404, "reason": "NotFound"}


def _selected(
    items: list[dict[str, Any]], namespace: str, query: dict[str, str]
) -> list[dict[str, Any]]:
    key, _, value = query.get("labelSelector", "").partition("=")
    return [
        item
        for item in items
        if namespace in ("", item["metadata"]["namespace"])
        and (item["metadata"].get("labels") or {}).get(key) == value
    ]
