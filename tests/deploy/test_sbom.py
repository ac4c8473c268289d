"""The bill of materials names what the binary is really made of."""

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("EGPTC_BINARY", ROOT / "build/release/enhanced-gptcache"))


@pytest.fixture(scope="module")
def bill(tmp_path_factory):
    path = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    environment = {**os.environ, "EGPTC_BINARY": str(BINARY), "EGPTC_SBOM": str(path)}
    subprocess.run([ROOT / "scripts/sbom.sh"], check=True, env=environment, capture_output=True)
    return json.loads(path.read_text())


def values(component: dict, name: str) -> list[str]:
    return [row["value"] for row in component.get("properties", []) if row["name"] == f"egptc:{name}"]


def test_it_is_cyclonedx_of_this_build(bill):
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["version"] == (ROOT / "VERSION").read_text().strip()
    references = [component["bom-ref"] for component in bill["components"]]
    assert len(set(references)) == len(references)
    assert set(bill["dependencies"][0]["dependsOn"]) <= set(references)
    for component in bill["components"]:
        assert component["purl"].startswith(("pkg:deb/debian/", "pkg:npm/", "pkg:pypi/"))
        assert component["version"] and component["scope"] in ("required", "excluded")


def test_every_linked_library_appears(bill):
    """By the program headers of the binary, read without the script's own help."""
    text = subprocess.run(["objdump", "-p", BINARY], check=True, capture_output=True, text=True).stdout
    named = re.findall(r"NEEDED\s+(\S+)", text)
    loaded = subprocess.run(["ldd", BINARY], check=True, capture_output=True, text=True).stdout
    everything = [pathlib.Path(path).name for path in re.findall(r"(/\S+) \(0x", loaded)]
    assert len(named) >= 10 and len(everything) >= len(named)
    by_file = {name: component for component in bill["components"] for name in values(component, "file")}
    assert set(named) | set(everything) <= set(by_file)
    for name in named:
        component = by_file[name]
        assert values(component, "linkage") == ["linked"], name
        assert component["bom-ref"] in bill["dependencies"][0]["dependsOn"], name
        installed = subprocess.run(["dpkg-query", "-W", "-f=${Version}", component["name"]], check=True,
                                   capture_output=True, text=True).stdout
        assert component["version"] == installed


def test_locks_and_pins_appear(bill):
    parts = bill["components"]
    names = {(part["purl"].split(":")[1].split("/")[0], part["name"]) for part in parts}
    lock = json.loads((ROOT / "console/package-lock.json").read_text())
    locked = {path.split("node_modules/")[-1] for path in lock["packages"] if path}
    assert locked and {("npm", name) for name in locked} <= names
    assert ("pypi", "openai") in names and ("deb", "libeigen3-dev") in names
    scopes = {component["name"]: component["scope"] for component in bill["components"]}
    assert scopes["openai"] == "excluded" and scopes["libssl3"] == "required"


def test_a_binary_that_is_not_there_is_an_error():
    done = subprocess.run([ROOT / "scripts/sbom.sh"], env={**os.environ, "EGPTC_BINARY": "/nonexistent"},
                          capture_output=True, text=True)
    assert done.returncode == 2 and "/nonexistent" in done.stderr
