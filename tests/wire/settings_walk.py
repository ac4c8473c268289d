"""Which test shows that changing a settings key changes behaviour. test_settings_table.py walks the
binary's own table and fails for a key nobody has claimed here."""

import contextlib

CLAIMED: dict[str, str] = {}


def changes(*keys: str):
    """Decorator: this test shows that each of these keys does something."""

    def mark(function):
        for key in keys:
            CLAIMED[key] = f"{function.__module__}.{function.__name__}"
        return function

    return mark


def claim(key: str, test: str) -> None:
    """A key whose effect is shown by a test of the thing itself, named module.test."""
    CLAIMED[key] = test


@contextlib.contextmanager
def setting(server, **values):
    """Live keys changed through /admin/config for the length of a block; `cache__mode` is cache.mode."""
    body = {name.replace("__", "."): value for name, value in values.items()}
    response = server.request("PUT", "/admin/config", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["pending_restart"] == [], "not a live key"
    try:
        yield
    finally:
        assert server.post("/admin/config/reset").status_code == 200
