#!/usr/bin/env python3
"""The software bill of materials of a build, as CycloneDX 1.5 JSON: what the binary is really linked with
(asked of the loader and of dpkg), the header-only packages compiled into it, the console's and the tests'
npm packages from their locks, and the Python packages of the tests.

sbom.py BINARY [--output FILE]       write it (standard output without --output)
sbom.py BINARY --check               look for known defects with what can be reached; says what it cannot ask

The check asks npm's registry about the locked npm packages (npm audit), the Python index about the pinned
Python packages (pip-audit, when it is installed), and apt whether Debian's archive, security updates
included, has a newer version of any linked package. It knows nothing of defects that Debian has not mended
yet."""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
NPM_LOCKS = {"console": "required", "tests/console": "excluded", "tests/node": "excluded"}
PYTHON_LISTS = ["tests/requirements.txt", "tests/fuzz/requirements.txt"]
# Compiled in from headers: no loader knows them. Each is a package of scripts/bootstrap.sh --runtime.
HEADER_ONLY = ["libboost1.81-dev", "libeigen3-dev", "nlohmann-json3-dev", "libcli11-dev", "libexpected-dev"]


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def linked_files(binary: pathlib.Path) -> dict[str, pathlib.Path]:
    """Every shared object of the process by its name, as the loader finds it."""
    found = {}
    for line in output_of("ldd", str(binary)).splitlines():
        match = re.match(r"\s*(\S+) => (/\S+)", line) or re.match(r"\s*()(/\S+) \(", line)
        if match:
            found[match.group(1) or pathlib.Path(match.group(2)).name] = pathlib.Path(match.group(2))
        elif "not found" in line:
            raise SystemExit(f"sbom: {line.strip()}")
    return found


def needed(binary: pathlib.Path) -> list[str]:
    """What the binary itself names."""
    return re.findall(r"\(NEEDED\).*\[(.+?)\]", output_of("readelf", "-d", str(binary)))


def package_of(path: pathlib.Path) -> str:
    """The Debian package of a file; dpkg may know it below /usr or without it."""
    real = pathlib.Path(os.path.realpath(path))
    for name in {str(path), str(real), "/usr" + str(real), str(real).removeprefix("/usr")}:
        done = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.split(": ")[0].split(",")[0]
    raise SystemExit(f"sbom: no package owns {path}")


def debian_component(package: str, files: list[pathlib.Path], kind: str) -> dict:
    form = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${Maintainer}"
    fields = output_of("dpkg-query", "-W", f"-f={form}", package).split("\t")
    name, version, architecture, source, maintainer = fields
    purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}?arch={architecture}&distro=debian-12"
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "supplier": {"name": maintainer},
        "scope": "required",
        "properties": [{"name": "egptc:linkage", "value": kind}, {"name": "egptc:source", "value": source}],
    }
    if files:
        component["properties"] += [{"name": "egptc:file", "value": path.name} for path in sorted(files)]
        if len(files) == 1:
            digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
            component["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return component


def debian_components(binary: pathlib.Path) -> tuple[list[dict], list[str]]:
    """The components, and the references of those the binary names itself."""
    by_package: dict[str, list[pathlib.Path]] = {}
    for path in linked_files(binary).values():
        by_package.setdefault(package_of(path), []).append(path)
    direct = set(needed(binary))
    components, roots = [], []
    for package, files in sorted(by_package.items()):
        is_direct = any(path.name in direct for path in files)
        component = debian_component(package, files, "linked" if is_direct else "linked by another library")
        components.append(component)
        if is_direct:
            roots.append(component["bom-ref"])
    for package in HEADER_ONLY:
        component = debian_component(package, [], "header only")
        components.append(component)
        roots.append(component["bom-ref"])
    return components, roots


def npm_components() -> list[dict]:
    components = {}
    for folder, scope in NPM_LOCKS.items():
        lock = json.loads((ROOT / folder / "package-lock.json").read_text())
        for path, row in lock["packages"].items():
            if not path:
                continue
            name = row.get("name") or path.split("node_modules/")[-1]
            purl = f"pkg:npm/{name.replace('@', '%40')}@{row['version']}"
            # What only builds the console is not in the binary.
            used = scope if not row.get("dev") else "excluded"
            one = {"type": "library", "bom-ref": purl, "name": name, "version": row["version"], "purl": purl}
            one["scope"] = used
            if "license" in row:
                one["licenses"] = [{"license": {"name": row["license"]}}]
            if components.get(purl, {}).get("scope") != "required":
                components[purl] = one
    return list(components.values())


def python_components() -> list[dict]:
    components = {}
    for path in PYTHON_LISTS:
        for line in (ROOT / path).read_text().splitlines():
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)", line.strip())
            if not match:
                continue
            name, version = re.sub(r"[-_.]+", "-", match.group(1)).lower(), match.group(2)
            purl = f"pkg:pypi/{name}@{version}"
            components[purl] = {"type": "library", "bom-ref": purl, "name": name, "version": version,
                                "purl": purl, "scope": "excluded"}
    return list(components.values())


def bill_of(binary: pathlib.Path) -> dict:
    version = (ROOT / "VERSION").read_text().strip()
    system, roots = debian_components(binary)
    components = system + npm_components() + python_components()
    components.sort(key=lambda one: one["purl"])
    reference = f"pkg:generic/enhanced-gptcache@{version}"
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()
    # The same build has the same bill, so that two can be compared.
    number = uuid.uuid5(uuid.NAMESPACE_URL, digest + json.dumps(components, sort_keys=True))
    moment = int(os.environ.get("SOURCE_DATE_EPOCH", int(binary.stat().st_mtime)))
    when = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": reference,
                "name": "enhanced-gptcache",
                "version": version,
                "purl": reference,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            },
        },
        "components": components,
        "dependencies": [{"ref": reference, "dependsOn": sorted(roots)}],
    }


# What a check found, what it could not ask, and whether anything answered at all.
Found = tuple[list[str], list[str], bool]


def check_npm() -> Found:
    if shutil.which("npm") is None:
        return [], ["npm is not installed"], False
    defects, unasked, answered = [], [], False
    for folder in NPM_LOCKS:
        done = subprocess.run(["npm", "audit", "--json", "--package-lock-only"], cwd=ROOT / folder,
                              capture_output=True, text=True)
        try:
            report = json.loads(done.stdout)
            rows = report["vulnerabilities"]
        except (json.JSONDecodeError, KeyError, TypeError):
            unasked.append(f"{folder}: the registry gave no audit")
            continue
        answered = True
        defects += [f"{folder}: {name} ({row['severity']})" for name, row in rows.items()]
    return defects, unasked, answered


def check_python() -> Found:
    beside = str(pathlib.Path(sys.executable).parent)
    program = shutil.which("pip-audit") or shutil.which("pip-audit", path=beside)
    if program is None:
        return [], ["pip-audit is not installed"], False
    defects, unasked, answered = [], [], False
    for path in PYTHON_LISTS:
        command = [program, "--no-deps", "--disable-pip", "-f", "json", "--progress-spinner", "off"]
        done = subprocess.run([*command, "-r", str(ROOT / path)], capture_output=True, text=True)
        try:
            rows = json.loads(done.stdout)["dependencies"]
        except (json.JSONDecodeError, KeyError, TypeError):
            unasked.append(f"{path}: the index gave no answer")
            continue
        known = [row for row in rows if "skip_reason" not in row]
        answered = answered or bool(known)
        if len(known) < len(rows):
            missing = f"{len(rows) - len(known)} of {len(rows)} packages"
            unasked.append(f"{path}: the index has no report on {missing}")
        for row in known:
            name = f"{path}: {row['name']} {row['version']}"
            defects += [f"{name} ({one['id']})" for one in row.get("vulns", [])]
    return defects, unasked, answered


def check_debian(bill: dict) -> Found:
    names = [one["name"] for one in bill["components"] if one["purl"].startswith("pkg:deb/")]
    text = output_of("apt-cache", "policy", *names)
    old, unknown = [], []
    for block in re.split(r"\n(?=\S)", text):
        name = block.split(":")[0]
        installed = re.search(r"Installed: (\S+)", block)
        candidate = re.search(r"Candidate: (\S+)", block)
        if installed is None or candidate is None or "://" not in block:
            unknown.append(name)
        elif installed.group(1) != candidate.group(1):
            old.append(f"{name} {installed.group(1)}: Debian has {candidate.group(1)}")
    unasked = ["defects that Debian has not mended yet (its security tracker is not asked)"]
    if unknown:
        unasked.append("without an archive to compare with (apt-get update?): " + ", ".join(unknown))
    return old, unasked, len(unknown) < len(names)


def check(bill: dict) -> int:
    status = 0
    for what, (defects, unasked, answered) in (("npm", check_npm()), ("Python", check_python()),
                                               ("Debian", check_debian(bill))):
        verdict = "nothing known" if answered else "NOT CHECKED"
        if defects:
            verdict = f"{len(defects)} known defects or outdated packages"
        print(f"{what}: {verdict}")
        for one in defects:
            print(f"  {one}")
        for one in unasked:
            print(f"  not checked: {one}")
        status = status or (1 if defects else 0)
    return status


def main() -> int:
    form = argparse.RawDescriptionHelpFormatter
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    reader.add_argument("binary", type=pathlib.Path)
    reader.add_argument("--output", type=pathlib.Path)
    reader.add_argument("--check", action="store_true")
    options = reader.parse_args()
    if not options.binary.is_file():
        reader.error(f"{options.binary} is no file: build it first")
    bill = bill_of(options.binary)
    if options.check:
        return check(bill)
    text = json.dumps(bill, indent=1) + "\n"
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text)
        print(f"sbom: {len(bill['components'])} components in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
