"""The production guide's own files, as they stand there (tests/deploy/guide): its settings, its ConfigMap and
its compose file are accepted, and a server runs on them."""

import pathlib

import kubernetes_validate
import pytest
import yaml

import harness
import machine

GUIDE = pathlib.Path(__file__).resolve().parent / "guide"
SETTINGS = {"cache.similarity_threshold": "0.65", "context.divergence_threshold": "0.3",
            "context.window_size": "3", "pca.training_samples": "100", "federated.initial_tau": "0.85"}


def shown(file: pathlib.Path, name: str, environment: str) -> str:
    done = harness.run_binary("validate-config", str(file), "--print", name, environment={"ENV": environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def serves(server) -> None:
    """Healthy, and what was asked once is answered without the provider."""
    health = server.get("/health").json()
    assert health["overall_status"] == "healthy", health
    key = harness.fresh_key()
    answers = [server.chat("Is the guide's file in force?", key) for _ in range(2)]
    assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT"]


def start(folder: pathlib.Path, standin, settings: str, environment: dict) -> harness.Server:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(settings)
    more = {"ENHANCED_GPTCACHE_CONFIG": folder / "config.yaml", **environment}
    return harness.Server(folder / "run", standin.base_url, more).start()


@pytest.mark.parametrize("environment, size, detailed, debug", [
    ("production", "500", "false", "false"), ("staging", "200", "true", "false"),
    ("development", "50", "true", "true")])
def test_the_nested_settings(tmp_path, standin, environment, size, detailed, debug):
    file = GUIDE / "config.prod.yaml"
    wanted = {**SETTINGS, "cache.size_mb": size, "monitoring.detailed_logging": detailed,
              "monitoring.debug_mode": debug}
    assert {name: shown(file, name, environment) for name in wanted} == wanted
    # Its pca.model_path is a folder of the image.
    more = {"ENV": environment, "EGPTC_PCA__MODEL_PATH": tmp_path / "pca_model.pkl"}
    server = start(tmp_path / environment, standin, file.read_text(), more)
    serves(server)
    assert server.stop() == 0


def test_the_kubernetes_manifests(tmp_path, standin):
    manifests = list(yaml.safe_load_all((GUIDE / "kubernetes.yaml").read_text()))
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.30", strict=True)
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    container = by_kind["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    environment = {row["name"]: row["value"] for row in container["env"]}
    server = start(tmp_path / "pod", standin, by_kind["ConfigMap"]["data"]["config.yaml"], environment)
    serves(server)
    for probe in ("livenessProbe", "readinessProbe"):
        assert server.get(container[probe]["httpGet"]["path"]).status_code == 200
    assert shown(tmp_path / "pod/config.yaml", "cache.size_mb", "production") == "100"
    assert server.stop() == 0


def test_the_compose_file(tmp_path, standin):
    file = GUIDE / "docker-compose.prod.yml"
    machine.succeed(machine.program("docker-compose"), "-f", file, "config", "--quiet", cwd=tmp_path)
    service = yaml.safe_load(file.read_text())["services"]["enhanced-gptcache"]
    environment = dict(row.split("=", 1) for row in service["environment"])
    assert environment == {"ENV": "production", "LOG_LEVEL": "INFO", "METRICS_ENABLED": "true"}
    settings = (machine.ROOT / "config.prod.yaml").read_text()
    server = start(tmp_path / "app", standin, settings, environment)
    serves(server)
    check = [word.replace("http://localhost:8080", server.url) for word in service["healthcheck"]["test"][1:]]
    assert "healthy" in machine.succeed(*check)
    assert server.stop() == 0
