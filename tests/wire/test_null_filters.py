"""A null where leaving the field out widens what is removed: a program whose variable was not set must not
take everything away."""

import pytest

ENTRY = {"query": "What is kept?", "response": "This."}


@pytest.mark.parametrize(
    "path, body",
    [
        ("/cache/flush", {"confirm": "flush", "namespace": None}),
        ("/cache/invalidate", {"namespace": None}),
        ("/cache/invalidate", {"model": "default", "namespace": None}),
        ("/cache/invalidate", {"model": "default", "tags": None}),
        ("/cache/erase", {"subject": "anna", "namespace": None}),
        ("/cache/export", {"subject": "anna", "namespace": None}),
    ],
)
def test_null_is_refused(server, key, path, body):
    assert server.post("/cache/entries", {**ENTRY, "subject": "anna"}, key).status_code == 201
    refused = server.post(path, body, key)
    assert refused.status_code == 400 and "null" in refused.text, refused.text
    assert server.post("/cache/lookup", {"query": ENTRY["query"]}, key).json()["hit"] is True


def test_nothing_to_rotate_is_no_server_error(server):
    refused = server.post("/admin/encryption/rotate")
    assert refused.status_code == 409 and "encrypt" in refused.text
