"""/openapi.json: every route that exists, described, and nothing else."""

import harness

METHODS = {"get", "post", "put", "delete", "patch"}


def test_every_operation_exists_and_is_described(server):
    document = server.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1") and document["info"]["version"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert method in METHODS and operation["summary"], f"{method} {path} has no sentence"
            # An unknown method tells which ones a path has.
            if not path.startswith("/v1/"):
                allowed = server.request("BREW", path.replace("{id}", "x")).headers["allow"]
                assert method.upper() in allowed.split(", "), f"{method} {path}"
    for path in ("/v1/chat/completions", "/cache/lookup", "/cache/entries/{id}", "/health", "/metrics",
                 "/admin/config", "/openapi.json"):
        assert path in document["paths"], path
    assert "/v1/*" in document["x-pass-through"]


def sample(schema: dict):
    """The smallest value that a schema of ours allows."""
    if "const" in schema:
        return schema["const"]
    if schema.get("type") == "object":
        return {name: sample(schema["properties"][name]) for name in schema.get("required", [])}
    return {"string": "text", "number": 0.9, "integer": 1, "boolean": True, "array": []}.get(
        schema.get("type"), "text")


def test_native_bodies_are_what_the_server_takes(server):
    schemas = server.get("/openapi.json").json()["components"]["schemas"]
    key = harness.fresh_key()
    entry = schemas["Store"]["oneOf"][0]
    for path, schema, status in (("/cache/lookup", schemas["Lookup"], 200), ("/cache/entries", entry, 201),
                                 ("/cache/explain", schemas["Lookup"], 200)):
        assert server.post(path, sample(schema), key).status_code == status, path
        # Every field it names is known, every other is refused.
        full = {name: sample(part) for name, part in schema["properties"].items()}
        assert server.post(path, full, key).status_code == status, path
        refused = server.post(path, {**full, "unheard_of": 1}, key)
        assert refused.status_code == 400 and "unheard_of" in refused.text
    dry = {name: sample(part) for name, part in schemas["Invalidate"]["properties"].items()}
    dry["tags"] = ["x"]
    assert server.post("/cache/invalidate", dry, key).status_code == 200
    assert server.post("/cache/flush", sample(schemas["Flush"]), key).status_code == 200
    verdict = {"request_id": "x", "correct": True, "query": "text", "context": []}
    assert set(verdict) <= set(schemas["Feedback"]["properties"])
    assert server.post("/cache/feedback", verdict, key).status_code == 404  # no such decision; fields known
