"""What the doctor finds, and the checks that find it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "failed", "unknown", "absent"]


@dataclass(frozen=True)
class CheckResult:
    """One line of the doctor's report.

    Attributes:
        name: What was looked at.
        state: `ok`; `failed`: a run will fail; `unknown`: it cannot be seen from here; `absent`:
            it is not there, and needed only by some runs.
        text: What was found.
        remedy: What to do about it; empty where there is nothing to do.
    """

    name: str
    state: State
    text: str
    remedy: str = ""

    def line(self) -> str:
        """Return the result as a line of text."""
        remedy = f". Remedy: {self.remedy}" if self.remedy else ""
        return f"{self.state:<7} {self.name}: {self.text}{remedy}"

    def document(self) -> dict[str, str]:
        """Return the result as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Check:
    """A check of the cluster.

    Attributes:
        name: What it looks at.
        find: Returns the results.
    """

    name: str
    find: Callable[..., Iterator[CheckResult]]

    def run(self, *arguments: Any) -> list[CheckResult]:
        """Return the results; what cannot be asked is `unknown`, with the reason."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        from mammo_core.errors import MammoError

        results = []
        try:
            for result in self.find(*arguments):
                results.append(result)
        except ApiException as error:
            reason = f"the Kubernetes API answers {error.status} {error.reason}"
            remedy = "use an account that may read it" if error.status in (401, 403) else ""
            results.append(CheckResult(self.name, "unknown", reason, remedy))
        except (HTTPError, OSError) as error:
            reason = f"the Kubernetes API does not answer ({type(error).__name__})"
            results.append(CheckResult(self.name, "unknown", reason, "look at KUBECONFIG"))
        except MammoError as error:
            results.append(CheckResult(self.name, "failed", str(error).rstrip(".")))
        return results
