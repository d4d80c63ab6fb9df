"""A page about the API, without scripts and without a network."""

from typing import Any

from mammo_core.reporting.page import Page, Table


def build_api_page(document: dict[str, Any]) -> str:
    """Return the page (HTML) of an OpenAPI document.

    Args:
        document: The document, as `build_openapi` returns it.
    """
    info = document["info"]
    page = Page(info["title"], info["description"])
    page.text("The document with all schemas is /openapi.json.")
    if "security" in document:
        page.text("Requests need the header Authorization: Bearer <token>.")
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            page.section(f"{method.upper()} {path}", operation["summary"])
            if "description" in operation:
                page.text(operation["description"])
            parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
            if parameters:
                page.table(
                    Table.from_records(
                        {
                            "parameter": parameter["name"],
                            "in": parameter["in"],
                            "values": ", ".join(parameter["schema"]["enum"]),
                        }
                        for parameter in parameters
                    )
                )
            if "requestBody" in operation:
                page.facts({"body": ", ".join(operation["requestBody"]["content"])})
            page.table(
                Table.from_records(
                    {
                        "status": status,
                        "meaning": response["description"],
                        "content": ", ".join(response["content"]),
                    }
                    for status, response in operation["responses"].items()
                )
            )
    return page.html()
