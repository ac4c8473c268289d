"""Servers with security on, and keys for them."""

import json

import harness

ROLES = ("viewer", "client", "operator", "admin")


class SecureServer(harness.Server):
    """Answers /ready without a key; `admin` is the key of the first start."""

    def start(self, wait: bool = True) -> "SecureServer":
        super().start(wait)
        path = self.folder / "storage/admin.key"
        self.admin = path.read_text().strip() if path.exists() else ""
        return self

    def create(self, **wish) -> dict:
        made = self.post("/admin/keys", wish, self.admin)
        assert made.status_code == 201, made.text
        return made.json()

    def key(self, role: str = "client", **wish) -> str:
        return self.create(role=role, **wish)["key"]

    def get_as(self, path: str, key: str, **options):
        return self.request("GET", path, headers={"Authorization": f"Bearer {key}"}, **options)

    def configure(self, key: str | None = None, **values):
        body = {name.replace("__", "."): value for name, value in values.items()}
        headers = {"Authorization": f"Bearer {key or self.admin}"}
        return self.request("PUT", "/admin/config", json=body, headers=headers)


def environment(**more) -> dict:
    return {
        "EGPTC_SECURITY__ENABLED": "true",
        "EGPTC_SERVER__HOST": "127.0.0.1",
        "EGPTC_UPSTREAM__API_KEY": "sk-of-the-operator",
        **more,
    }


def start(folder, upstream, arguments=(), wait=True, **more) -> SecureServer:
    return SecureServer(folder, upstream, environment(**more), arguments=arguments).start(wait)


def cli(server, *arguments, **more):
    """A subcommand with the server's settings."""
    return harness.run_binary(*arguments, environment={**server.environment, **more}, folder=server.folder)


def error_of(answer) -> dict:
    body = json.loads(answer.text)["error"]
    assert body["message"] and body["type"]
    return body
