"""Servers with encryption at rest, and looking for bytes on disk."""

import os
import pathlib
import secrets

import harness

NO_MODEL = {"EGPTC_EMBEDDER__ENABLED": "false"}


def fresh_key() -> str:
    return secrets.token_hex(32)


def write_keys(path: pathlib.Path, *keys: str) -> pathlib.Path:
    path.write_text("".join(key + "\n" for key in keys))
    os.chmod(path, 0o600)
    return path


def encrypted(key_file: pathlib.Path, **more) -> dict:
    return {"EGPTC_STORAGE__ENCRYPTION": "aes-256-gcm", "EGPTC_STORAGE__ENCRYPTION_KEY_FILE": str(key_file),
            **more}


def files_with(folder: pathlib.Path, *needles: str | bytes) -> list[str]:
    """Every file below the folder that holds one of the texts, in any of the usual spellings."""
    wanted = []
    for needle in needles:
        raw = needle if isinstance(needle, bytes) else needle.encode()
        wanted += [raw, raw.hex().encode()]
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if any(one in content for one in wanted):
                found.append(str(path.relative_to(folder)))
    return found


def encryption(server, key: str | None = None) -> dict:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return server.get("/admin/encryption", headers=headers).json()


def wait_resealed(server) -> dict:
    return harness.wait_until(
        lambda: (state := encryption(server)) and not state["is_resealing"] and state, 30, "resealed")
