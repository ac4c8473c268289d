"""Container, compose, Kubernetes, systemd and package files: valid by their own tools, and as promised."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

import harness
import machine

ROOT = machine.ROOT
OVERLAYS = ["kubernetes", *(f"deploy/kubernetes/{name}" for name in
                            ("production", "staging", "development", "durable"))]


def shell_scripts() -> list[str]:
    paths = [*(ROOT / "deploy").rglob("*"), *(ROOT / "scripts").rglob("*")]
    files = [path for path in paths if path.is_file()]
    return sorted(path.relative_to(ROOT).as_posix() for path in files
                  if path.read_bytes().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash")))


@pytest.mark.parametrize("script", shell_scripts())
def test_shell_scripts(script):
    machine.succeed(machine.program("shellcheck"), "-x", "-S", "warning", "-e", "SC2209", script, cwd=ROOT)
    if script.startswith("deploy/") and "/debian/" not in script:
        shown = machine.run(ROOT / script, "--help", cwd=ROOT)
        assert os.access(ROOT / script, os.X_OK) and shown.returncode == 0, shown.stderr


# --- compose ---------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(machine.succeed(machine.program("docker-compose"), "-f", "docker-compose.prod.yml",
                                          "--profile", "shared", "config", cwd=ROOT))


def test_compose_has_what_is_asked_for(compose):
    assert set(compose["services"]) == {"enhanced-gptcache", "redis", "prometheus", "alertmanager", "grafana"}
    cache = compose["services"]["enhanced-gptcache"]
    assert cache["read_only"] is True and any(volume.startswith("cache-data:/app/data")
                                              for volume in cache["volumes"])
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        published = service.get("ports", [])
        assert all(str(port).startswith("127.0.0.1:") for port in published), f"{name} publishes {published}"
        assert not re.search(r":latest$", service["image"]) or name == "enhanced-gptcache", name


def test_compose_mounts_only_files_that_exist(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith("/") or pathlib.Path(source).exists(), source


def test_compose_holds_no_password(compose):
    secrets = {path["file"] for path in compose["secrets"].values()}
    assert all(path.startswith(str(ROOT / "secrets")) for path in secrets)
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|SECRET|TOKEN", name):
                assert str(value).startswith("/run/secrets/"), name
        for secret in service.get("secrets", []):
            assert secret["source"] in compose["secrets"]


def test_secrets_are_random_private_and_never_made_twice(tmp_path):
    folder = tmp_path / "secrets"
    output = machine.succeed(machine.DEPLOY / "make_secrets.sh", folder)
    names = {path.name for path in folder.iterdir()}
    wanted = yaml.safe_load((ROOT / "docker-compose.prod.yml").read_text())["secrets"]
    assert names == set(wanted) and folder.stat().st_mode & 0o777 == 0o700
    key = (folder / "admin_key").read_text()
    assert re.fullmatch(r"egptc_[0-9a-f]{12}_[0-9a-f]{64}\n", key)
    assert "to be filled in" in output and "slack_webhook_url" in output
    machine.succeed(machine.DEPLOY / "make_secrets.sh", folder)
    assert (folder / "admin_key").read_text() == key
    assert machine.run("git", "check-ignore", "-q", "secrets/admin_key", cwd=ROOT).returncode == 0


# --- Kubernetes ------------------------------------------------------------------------------------
def validated(text: str) -> list[dict]:
    documents = [document for document in yaml.safe_load_all(text) if document]
    for document in documents:
        kubernetes_validate.validate(document, "1.30", strict=True)
    return documents


def test_plain_manifests_are_valid():
    for path in sorted((ROOT / "kubernetes").glob("*.yaml")):
        assert validated(path.read_text()), path
    assert validated((ROOT / "kubernetes/secret.yaml.example").read_text())


def kustomized(folder: str) -> dict[str, dict]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl, and Debian 12 has none new enough; the plain manifests are checked")
    return {document["kind"]: document for document in
            validated(machine.succeed(kubectl, "kustomize", folder, cwd=ROOT))}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_overlays_are_valid(folder):
    by_kind = kustomized(folder)
    workload = by_kind.get("Deployment") or by_kind["StatefulSet"]
    namespace = by_kind["Namespace"]["metadata"]["name"]
    assert all(document["metadata"].get("namespace", namespace) == namespace for document in by_kind.values())
    assert by_kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["kind"] == workload["kind"]
    assert by_kind["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == workload["spec"]["replicas"]
    mounts = {volume["name"] for volume in workload["spec"]["template"]["spec"]["volumes"]}
    mounts |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    for container in workload["spec"]["template"]["spec"]["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= mounts


def service_names(namespace: str) -> list[str]:
    """What cluster DNS resolves to the Service, shortest first."""
    name = f"enhanced-gptcache-service.{namespace}"
    return ["enhanced-gptcache-service", name, f"{name}.svc", f"{name}.svc.cluster.local"]


@pytest.mark.parametrize("file,namespace", [
    ("kubernetes/configmap.yaml", "enhanced-gptcache"),
    *((f"deploy/kubernetes/{name}/config.yaml", f"enhanced-gptcache-{name}")
      for name in ("staging", "development"))])
def test_every_name_of_the_service_is_allowed(file, namespace):
    settings = yaml.safe_load(yaml.safe_load((ROOT / file).read_text())["data"]["config.yaml"])
    assert settings["server"]["allowed_hosts"] == service_names(namespace)


@pytest.mark.parametrize("overlay", ["staging", "development"])
def test_an_overlay_finds_its_secret_when_its_commands_are_followed(overlay, tmp_path):
    """The commands run as they stand, with a kubectl that writes down what it is asked for."""
    calls = tmp_path / "calls"
    kubectl = tmp_path / "bin/kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n')
    kubectl.chmod(0o755)
    shutil.copy(ROOT / "kubernetes/secret.yaml.example", tmp_path / "secret.yaml")
    head = (ROOT / f"deploy/kubernetes/{overlay}/kustomization.yaml").read_text().partition("apiVersion")[0]
    commands = "\n".join(re.findall(r"^#   (.*)$", head, re.M))
    machine.succeed("sh", "-euc", commands, cwd=tmp_path, env={"PATH": f"{kubectl.parent}:/usr/bin:/bin"})
    namespace = kustomization(overlay)["namespace"]
    [secret] = validated((tmp_path / "secret.yaml").read_text())
    assert secret["metadata"]["namespace"] == namespace
    assert calls.read_text().splitlines() == [
        f"create namespace {namespace}", "apply -f secret.yaml", f"apply -k deploy/kubernetes/{overlay}"]


def kustomization(overlay: str) -> dict:
    return yaml.safe_load((ROOT / f"deploy/kubernetes/{overlay}/kustomization.yaml").read_text())


def test_no_file_promises_entries_shared_over_redis():
    refused = harness.run_binary("validate-config", "--redis.url=redis://localhost")
    assert refused.returncode != 0 and "redis.url" in refused.stderr and "not built yet" in refused.stderr
    for file in ("docker-compose.prod.yml", "docs/deployment-guide.md"):
        assert "this version has no redis.* settings" in re.sub(r"\s+#?\s*", " ", (ROOT / file).read_text())


@pytest.mark.parametrize("folder", OVERLAYS)
def test_settings_in_config_maps_are_valid(folder, tmp_path):
    by_kind = kustomized(folder)
    file = tmp_path / "config.yaml"
    file.write_text(by_kind["ConfigMap"]["data"]["config.yaml"])
    done = harness.run_binary("validate-config", str(file))
    assert done.returncode == 0, done.stderr
    # The pod ends after the server has drained.
    drain = sum(float(harness.run_binary("validate-config", str(file), "--print", f"server.{name}").stdout)
                for name in ("drain_delay_seconds", "drain_timeout_seconds"))
    workload = by_kind.get("Deployment") or by_kind["StatefulSet"]
    assert workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > drain + 10


def test_the_pod_is_locked_down_and_probed_rightly():
    pod = yaml.safe_load((ROOT / "kubernetes/deployment.yaml").read_text())["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["automountServiceAccountToken"] is False
    container = pod["containers"][0]
    for one in (container, *pod["initContainers"]):
        security = one["securityContext"]
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
        assert security["capabilities"]["drop"] == ["ALL"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert all("subPath" not in mount for mount in container["volumeMounts"])


# --- systemd ---------------------------------------------------------------------------------------
def test_units_are_valid_and_hardened(tmp_path):
    units = machine.DEPLOY / "systemd"
    for name in ("enhanced-gptcache.service", "enhanced-gptcache-maintenance@.service",
                 "enhanced-gptcache-backup.service"):
        machine.succeed(machine.program("systemd-analyze"), "security", "--offline=true", "--threshold=30",
                        units / name)
    # Verified where the programs it names exist, and the user it names: here root and a link to true.
    for unit in units.iterdir():
        text = unit.read_text().replace("User=gptcache", "User=root").replace("Group=gptcache", "Group=root")
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.M)
        (tmp_path / unit.name).write_text(text)
    for name in ("enhanced-gptcache.service", "enhanced-gptcache.socket",
                 "enhanced-gptcache-maintenance@daily.service", "enhanced-gptcache-maintenance@weekly.timer",
                 "enhanced-gptcache-backup.service", "enhanced-gptcache-backup.timer"):
        done = machine.run(machine.program("systemd-analyze"), "verify", "--man=no", tmp_path / name,
                           env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system"})
        complaints = [line for line in done.stderr.splitlines() if "enhanced-gptcache" in line]
        assert not complaints, complaints


def test_the_unit_outlasts_the_drain():
    unit = (machine.DEPLOY / "systemd/enhanced-gptcache.service").read_text()
    stop = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])
    drain = harness.run_binary("validate-config", str(ROOT / "config.prod.yaml"), "--print",
                               "server.drain_timeout_seconds")
    assert stop > float(drain.stdout) + 10


# --- packages --------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Tarball and Debian packages of the build under test, and where they were made."""
    build = pathlib.Path(harness.BINARY).resolve().parent
    if not (build / "CPackConfig.cmake").exists():
        pytest.fail(f"{build} has no CPackConfig.cmake: configure it again")
    target = tmp_path_factory.mktemp("packages")
    for generator in ("TGZ", "DEB"):
        machine.succeed("cpack", "-G", generator, "-B", target, cwd=build, seconds=180)
    return target


def test_the_tarball_is_a_release_that_serves(packages, tmp_path, standin):
    archive = next(packages.glob("enhanced-gptcache-*.tar.gz"))
    machine.succeed("tar", "-xzf", archive, "-C", tmp_path, "--strip-components=1")
    assert {"bin", "share", "lib"} == {path.name for path in tmp_path.iterdir()}
    binary, harness.BINARY = harness.BINARY, tmp_path / "bin/enhanced-gptcache"
    try:
        server = harness.Server(tmp_path / "run", standin.base_url).start()
        verifier = server.get("/health").json()["checks"]["components"]["verifier"]
        assert verifier["status"] == "healthy" and verifier["enabled"], verifier
        assert server.stop() == 0
    finally:
        harness.BINARY = binary


def test_the_debian_packages(packages):
    program = next(packages.glob("enhanced-gptcache_*.deb"))
    fields = machine.succeed("dpkg-deb", "-f", program)
    assert "libssl3" in fields and "adduser" in fields and "Recommends: enhanced-gptcache-model" in fields
    names = machine.succeed("dpkg-deb", "-c", program)
    for path in ("./usr/bin/enhanced-gptcache", "./usr/lib/systemd/system/enhanced-gptcache.service",
                 "./usr/lib/systemd/system/enhanced-gptcache-backup.service",
                 "./usr/lib/systemd/system/enhanced-gptcache-backup.timer",
                 "./usr/share/enhanced-gptcache/verifier/default/decision.json",
                 "./usr/share/enhanced-gptcache/examples/config.prod.yaml"):
        assert re.search(re.escape(path) + "$", names, re.M), path
    model = next(packages.glob("enhanced-gptcache-model_*.deb"))
    assert "models/all-MiniLM-L6-v2/model.safetensors" in machine.succeed("dpkg-deb", "-c", model)
    assert ".packed" not in machine.succeed("dpkg-deb", "-c", model)


def test_the_packaged_unit_names_the_packages_paths(packages, tmp_path):
    machine.succeed("dpkg-deb", "-x", next(packages.glob("enhanced-gptcache_*.deb")), tmp_path)
    for unit in (tmp_path / "usr/lib/systemd/system").iterdir():
        text = unit.read_text()
        assert "/opt/" not in re.sub(r"^#.*", "", text, flags=re.M), unit.name
        for path in re.findall(r"/usr/[\w./-]+", text):
            assert (tmp_path / path.lstrip("/")).exists(), path


# --- the guide's own files -------------------------------------------------------------------------
def test_the_guides_nested_settings_are_accepted(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("production:\n  cache: {similarity_threshold: 0.65, size_mb: 500, eviction_policy: lru}\n"
                    "  context: {divergence_threshold: 0.3, window_size: 3, enabled: true}\n"
                    "  pca: {target_dimensions: 128, training_samples: 100, enabled: true}\n"
                    "  federated: {initial_tau: 0.85, learning_rate: 0.01, enabled: true}\n"
                    "staging:\n  cache: {size_mb: 200}\n")
    for environment, size in (("production", "500"), ("staging", "200")):
        done = harness.run_binary("validate-config", str(file), "--print", "cache.size_mb",
                                  environment={"ENV": environment})
        assert done.stdout.strip() == size, done.stderr


# --- maintenance -----------------------------------------------------------------------------------
@pytest.mark.parametrize("round_", ["daily", "weekly", "monthly", "quarterly"])
def test_a_round_of_maintenance(start_server, key, tmp_path, round_):
    server = start_server(environment={"EGPTC_MONITORING__LOG_FILE": str(tmp_path / "application.log")})
    (tmp_path / "backups").mkdir()
    with open(tmp_path / "backups/backup_20260101_000000.tar.gz", "wb") as file:
        subprocess.run(["tar", "-cz", "-C", str(tmp_path), "application.log"], stdout=file, check=True)
    environment = {**server.environment, "GPTCACHE_URL": server.url, "GPTCACHE_BINARY": str(harness.BINARY),
                   "GPTCACHE_LOG_DIR": str(tmp_path), "GPTCACHE_BACKUPS": str(tmp_path / "backups"),
                   "ENV": "staging"}
    script = machine.DEPLOY / "maintenance/maintenance.sh"
    done = machine.run(script, round_, env=environment, cwd=server.folder)
    found = re.findall(r"^(ok|LOOK) +(\w+)", done.stdout, re.M)
    wanted = {"daily": 6, "weekly": 10, "monthly": 13, "quarterly": 14}[round_]
    assert len(found) >= wanted and "unbound" not in done.stderr, done.stdout + done.stderr
    looked = {name for word, name in found if word == "LOOK"}
    assert looked <= {"capacity", "updates"} and done.returncode == bool(looked), done.stdout
    # Something is wrong, and it says what.
    (tmp_path / "backups/backup_20260101_000000.tar.gz").write_bytes(b"no archive")
    today = machine.succeed("date", "-u", "+%F").strip()
    with open(tmp_path / "application.log", "a") as log:
        log.write(f"{today}T00:00:00 error broken\n")
    done = machine.run(script, round_, env=environment, cwd=server.folder)
    assert done.returncode == 1 and re.search(r"LOOK +backup", done.stdout) and "broken" in done.stdout


def test_maintenance_without_a_server_says_so(tmp_path):
    script = machine.DEPLOY / "maintenance/maintenance.sh"
    url = f"http://127.0.0.1:{harness.free_port()}"
    done = machine.run(script, "daily", env={"PATH": os.environ["PATH"], "GPTCACHE_URL": url,
                                             "GPTCACHE_BACKUPS": str(tmp_path)})
    assert done.returncode == 1 and re.search(r"LOOK +health", done.stdout)
    assert machine.run(script, "hourly").returncode == 2


# --- Alertmanager and Grafana ----------------------------------------------------------------------
def test_maintenance_is_a_silence(tmp_path):
    port = harness.free_port()
    process = subprocess.Popen(
        [machine.program("prometheus-alertmanager"),
         f"--config.file={machine.DEPLOY}/alerting/alertmanager.yml", f"--storage.path={tmp_path}",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=open(tmp_path / "log", "wb"))
    environment = {**os.environ, "ALERTMANAGER_URL": f"http://127.0.0.1:{port}", "HOME": str(tmp_path)}
    script = machine.DEPLOY / "alerting/maintenance.sh"
    try:
        harness.wait_until(lambda: machine.run(script, "list", env=environment).returncode == 0, 20,
                           "Alertmanager answering")
        silence = machine.succeed(script, "start", "--minutes", "5", "new disk", env=environment).strip()
        assert silence in machine.succeed(script, "list", env=environment)
        machine.succeed(script, "end", silence, env=environment)
        assert silence not in machine.succeed(script, "list", env=environment)
        for wrong in (["start"], ["start", "--minutes", "0", "x"], ["start", "--minutes", "ten", "x"],
                      ["start", "--from", "never", "x"], ["end"], ["pause"]):
            assert machine.run(script, *wrong, env=environment).returncode == 2, wrong
    finally:
        process.terminate()
        process.wait(20)


def test_grafana_provisioning_names_what_is_mounted(compose):
    grafana = compose["services"]["grafana"]
    mounted = [volume.split(":")[1] for volume in grafana["volumes"]]
    folder = machine.DEPLOY / "grafana/provisioning"
    provider = yaml.safe_load((folder / "dashboards/enhanced-gptcache.yaml").read_text())["providers"][0]
    assert provider["options"]["path"] in mounted
    source = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"][0]
    assert source["url"] == "${PROMETHEUS_URL}" and grafana["environment"]["PROMETHEUS_URL"]
    dashboard = json.loads((machine.DEPLOY / "grafana/dashboards/enhanced-gptcache.json").read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) and dashboard["uid"] == "enhanced-gptcache"


def test_the_tarball_is_deployed_and_rolled_back(packages, tmp_path):
    from test_rollback import Site, done
    site = Site(tmp_path)
    archive = next(packages.glob("enhanced-gptcache-*.tar.gz"))
    first = site.releases / "enhanced-gptcache-0.0.9.tar.gz"
    first.parent.mkdir()
    shutil.copyfile(archive, first)
    try:
        done(site.deploy(first))
        done(site.deploy(archive))
        name = archive.name.removeprefix("enhanced-gptcache-").removesuffix(".tar.gz")
        assert site.links() == (name, "0.0.9") and (site.root / "current/enhanced-gptcache").exists()
        done(site.run("emergency_rollback.sh"))
        done(site.run("validate_rollback.sh"))
    finally:
        site.stop()
