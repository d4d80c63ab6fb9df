"""A server with the part of the Kubeflow Pipelines API that the client uses.

Every request is validated against the models of kfp-server-api: unknown keys, wrong types and
unknown paths are refused as the real server refuses them. Every answer has only keys that the real
server was recorded to send (`recordings/`).
"""

import json
import threading
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import kfp_server_api
import yaml
from recorded import differences, operation, shapes

TOKEN = "let-me-in"
#: gRPC's code for a status of HTTP.
_CODES = {400: 3, 401: 16, 404: 5, 409: 10, 500: 13}
_NEVER = "1970-01-01T00:00:00Z"


class RefusalError(Exception):
    """A response with a status other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def body(self, path: str) -> dict[str, Any]:
        if "upload" in path:
            return {"error_message": self.message, "error_details": self.message}
        code = _CODES.get(self.status, 2)
        detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": code}
        return {
            "code": code,
            "message": self.message,
            "details": [{**detail, "message": self.message}],
        }


def validate_body(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Validate a JSON body against a model of kfp-server-api, by its JSON names."""
    kind = getattr(kfp_server_api, model)
    known = {kind.attribute_map[name]: kind.openapi_types[name] for name in kind.attribute_map}
    for key, value in body.items():
        if key not in known:
            raise RefusalError(400, f"unknown field {key!r} in {model}")
        declared = known[key]
        if declared in ("str", "object") or declared.startswith(("dict(", "list(")):
            # max_concurrency is a text in the model; the server takes a number too.
            if declared == "str" and not isinstance(value, (str, int)):
                raise RefusalError(400, f"{model}.{key}: a text is expected, got {value!r}")
        elif declared == "bool":
            if not isinstance(value, bool):
                raise RefusalError(400, f"{model}.{key}: true or false is expected, got {value!r}")
        elif declared != "datetime":
            nested = getattr(kfp_server_api, declared)
            allowed = getattr(nested, "allowable_values", None)
            if allowed is not None and nested.openapi_types == {}:
                if value not in allowed:
                    raise RefusalError(400, f"{model}.{key}: one of {allowed}, got {value!r}")
            else:
                validate_body(value, declared)
    return body


class KfpServer:
    """The state of the server, and the requests it received."""

    def __init__(self, multi_user: bool = False, token: str | None = None) -> None:
        self.multi_user = multi_user
        self.token = token
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        #: Answers of `log`: path → text.
        self.logs: dict[str, str] = {}
        #: States of a run, one for each request; the last one stays.
        self.script: list[str] = ["SUCCEEDED"]
        #: Run → its recorded answers, one for each request; the last one stays.
        self.recorded: dict[str, list[dict[str, Any]]] = {}
        #: Keys that the real server does not send.
        self.strangers: list[str] = []
        self._shapes = shapes()
        self._clock = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                data = self.rfile.read(length)
                split = urlsplit(self.path)
                server.requests.append((self.command, split.path))
                kind = "application/json"
                try:
                    if (
                        server.token
                        and self.headers.get("authorization") != f"Bearer {server.token}"
                    ):
                        raise RefusalError(401, "the token has expired")
                    query = {key: values[0] for key, values in parse_qs(split.query).items()}
                    content = self.headers.get("Content-Type") or ""
                    if split.path in server.logs:
                        kind, answer = "text/plain", server.logs[split.path]
                    else:
                        answer = server.answer(self.command, split.path, query, data, content)
                        server.check(operation(self.command, split.path), answer)
                    status = 200
                except RefusalError as refusal:
                    answer, status = refusal.body(split.path), refusal.status
                    server.check("upload error" if "upload" in split.path else "error", answer)
                text = (answer if kind == "text/plain" else json.dumps(answer)).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def check(self, name: str, answer: dict[str, Any]) -> None:
        self.strangers += differences(answer, self._shapes.get(name, {}), name)

    def play(self, *moments: dict[str, Any]) -> str:
        """Answer with a recorded run, one moment for each request, and return its id."""
        runs = [moment["run"] for moment in moments]
        self.recorded[runs[0]["run_id"]] = runs
        self.runs[runs[0]["run_id"]] = dict(runs[-1])
        return str(runs[0]["run_id"])

    def tick(self) -> None:
        """Let a second pass: KFP's times have no parts of one."""
        self._clock += 1

    def _now(self) -> str:
        return datetime.fromtimestamp(1.7e9 + self._clock, UTC).isoformat().replace("+00:00", "Z")

    def answer(
        self, method: str, path: str, query: dict[str, str], data: bytes, content: str
    ) -> dict[str, Any]:
        parts = path.removeprefix("/apis/v2beta1/").split("/")
        match (method, *parts):
            case ("GET", "healthz"):
                return {"multi_user": self.multi_user, "tag_name": "2.17.0"}
            case ("POST", "pipelines", "upload"):
                return self._upload(query, data, content)
            case ("POST", "pipelines", "upload_version"):
                return self._upload_version(query, data, content)
            case ("GET", "pipelines"):
                return _page("pipelines", _filtered(self.pipelines, query))
            case ("GET", "pipelines", pipeline, "versions"):
                self._require(self.pipelines, pipeline, "pipeline")
                mine = {k: v for k, v in self.versions.items() if v["pipeline_id"] == pipeline}
                return _page("pipeline_versions", _filtered(mine, query))
            case ("GET", "pipelines", _, "versions", version):
                return self._require(self.versions, version, "pipeline version")
            case ("GET", "experiments"):
                return _page("experiments", _filtered(self.experiments, query))
            case ("POST", "experiments"):
                created = self._add(self.experiments, "experiment_id", data, "V2beta1Experiment")
                created |= {"storage_state": "AVAILABLE", "last_run_created_at": _NEVER}
                created.pop("namespace", None)
                return created
            case ("POST", "runs", action) if ":" in action:
                return self._act(*action.split(":"))
            case ("POST", "runs"):
                return self._run(data)
            case ("GET", "runs"):
                return _page("runs", _filtered(self.runs, query))
            case ("GET", "runs", run):
                return self._with_state(self._require(self.runs, run, "run"))
            case ("POST", "recurringruns"):
                return self._recur(data)
            case ("GET", "recurringruns"):
                return _page("recurringRuns", _filtered(self.recurring, query))
            case ("POST", "recurringruns", action):
                id, _, verb = action.partition(":")
                run = self._require(self.recurring, id, "recurring run")
                run["status"] = {"enable": "ENABLED", "disable": "DISABLED"}[verb]
                run["mode"] = verb.upper()
                return {}
            case ("DELETE", "recurringruns", id):
                self._require(self.recurring, id, "recurring run")
                del self.recurring[id]
                return {}
        raise RefusalError(404, "Not Found")

    def _act(self, id: str, verb: str) -> dict[str, Any]:
        run = self._require(self.runs, id, "run")
        ended = run["state"] in ("SUCCEEDED", "FAILED")
        if verb == "terminate" and ended:
            raise RefusalError(400, f"Failed to terminate a run {id}. Row not found")
        if verb == "retry" and run["state"] != "FAILED":
            raise RefusalError(409, "Workflow must be Failed/Error to retry")
        if verb in ("archive", "unarchive"):
            run["storage_state"] = {"archive": "ARCHIVED", "unarchive": "AVAILABLE"}[verb]
        if verb == "terminate":
            self._enter(run, "CANCELING")
            self.script = ["CANCELING", "FAILED"]
        if verb == "retry":
            self._enter(run, "RUNNING")
            self.script = ["RUNNING"]
        return {}

    def _enter(self, run: dict[str, Any], state: str) -> None:
        if run.get("state") != state:
            run["state"] = state
            entry = {"update_time": self._now(), "state": state}
            run.setdefault("state_history", []).append(entry)

    def _require(self, table: dict[str, dict[str, Any]], id: str, what: str) -> dict[str, Any]:
        if id not in table:
            raise RefusalError(404, f"{what} {id} not found")
        return table[id]

    def _add(
        self, table: dict[str, dict[str, Any]], key: str, data: bytes, model: str
    ) -> dict[str, Any]:
        body = validate_body(json.loads(data), model)
        id = str(uuid4())
        table[id] = {**body, key: id, "created_at": self._now()}
        return table[id]

    def _upload(self, query: dict[str, str], data: bytes, content: str) -> dict[str, Any]:
        name = query["name"]
        if any(pipeline["display_name"] == name for pipeline in self.pipelines.values()):
            raise RefusalError(409, "Failed to create a pipeline and a pipeline version")
        id = str(uuid4())
        self.pipelines[id] = {
            **{"pipeline_id": id, "display_name": name, "name": name},
            "created_at": self._now(),
        }
        self._version(id, name, _file(data, content))
        return self.pipelines[id]

    def _upload_version(self, query: dict[str, str], data: bytes, content: str) -> dict[str, Any]:
        pipeline = query["pipelineid"]
        self._require(self.pipelines, pipeline, "pipeline")
        return self._version(pipeline, query["name"], _file(data, content))

    def _version(self, pipeline: str, name: str, text: str) -> dict[str, Any]:
        parts = list(yaml.safe_load_all(text))
        spec: dict[str, Any] = parts[0]
        if len(parts) > 1:
            spec = {"pipeline_spec": parts[0], "platform_spec": parts[1]["platforms"]}
        id = str(uuid4())
        self.versions[id] = {
            "pipeline_id": pipeline,
            "pipeline_version_id": id,
            "display_name": name,
            "name": name,
            "created_at": self._now(),
            "pipeline_spec": spec,
        }
        return self.versions[id]

    def _run(self, data: bytes) -> dict[str, Any]:
        created = self._add(self.runs, "run_id", data, "V2beta1Run")
        self._require(self.experiments, created["experiment_id"], "experiment")
        reference = created.get("pipeline_version_reference")
        if (reference is None) == (created.get("pipeline_spec") is None):
            raise RefusalError(400, "either a pipeline spec or a version reference is needed")
        if reference is not None:
            self._require(self.versions, reference["pipeline_version_id"], "pipeline version")
        created |= {"storage_state": "AVAILABLE", "scheduled_at": created["created_at"]}
        created["finished_at"] = _NEVER
        created.setdefault("service_account", "pipeline-runner")
        self._enter(created, "PENDING")
        return created

    def _with_state(self, run: dict[str, Any]) -> dict[str, Any]:
        answers = self.recorded.get(run["run_id"])
        if answers:
            return answers.pop(0) if len(answers) > 1 else answers[0]
        if run["state"] not in ("SUCCEEDED", "FAILED"):
            self._enter(run, self.script.pop(0) if len(self.script) > 1 else self.script[0])
        return run

    def start_run_of(self, recurring_run_id: str, name: str) -> str:
        """Let a recurring run start a run, which is RUNNING, and return its id."""
        id, schedule = str(uuid4()), self.recurring[recurring_run_id]
        self.runs[id] = {
            **{key: schedule[key] for key in ("experiment_id", "pipeline_version_reference")},
            **{"run_id": id, "display_name": name, "recurring_run_id": recurring_run_id},
            **{"storage_state": "AVAILABLE", "created_at": self._now(), "finished_at": _NEVER},
            "runtime_config": schedule["runtime_config"],
        }
        self._enter(self.runs[id], "RUNNING")
        return id

    def _recur(self, data: bytes) -> dict[str, Any]:
        created = self._add(self.recurring, "recurring_run_id", data, "V2beta1RecurringRun")
        # The real one takes five fields too, with seconds first: it would fire every few seconds.
        assert len(created["trigger"]["cron_schedule"]["cron"].split()) == 6
        created |= {"updated_at": created["created_at"], "namespace": "kubeflow"}
        created.setdefault("service_account", "pipeline-runner")
        created["status"] = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[created["mode"]]
        created["max_concurrency"] = str(created["max_concurrency"])
        return created


def _file(data: bytes, content: str) -> str:
    head = f"Content-Type: {content}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + data)
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            return part.get_payload(decode=True).decode()
    raise RefusalError(400, "no file was uploaded")


def _page(key: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of a list; an empty one has no key at all."""
    return {key: items, "total_size": len(items)} if items else {}


def _filtered(table: dict[str, dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    items = list(table.values())
    if query.get("filter"):
        for predicate in json.loads(query["filter"])["predicates"]:
            key, expected = predicate["key"], predicate["stringValue"]
            is_equal = predicate["operation"] != "NOT_EQUALS"
            items = [item for item in items if (item.get(key) == expected) == is_equal]
    if query.get("sort_by") == "created_at desc":
        # Of one second, whatever order KFP has; here the first comes first.
        items.sort(key=lambda item: item["created_at"], reverse=True)
    return items[: int(query.get("page_size") or 10)]
