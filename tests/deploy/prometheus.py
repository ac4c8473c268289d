"""A real Prometheus on a port of its own, scraping one server, with our rules, made fast for a test."""

import json
import pathlib
import re
import signal
import subprocess

import requests

import harness
import machine

RULES = machine.DEPLOY / "alerting/rules.yaml"
DASHBOARD = machine.DEPLOY / "grafana/dashboards/enhanced-gptcache.json"
METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def quickened(rules: str) -> str:
    """The same rules with every window at fifteen seconds and every `for` at two: for faults injected now."""
    rules = re.sub(r"\[\d+[smhd]\]", "[15s]", rules)
    rules = re.sub(r"offset \d+m", "offset 8s", rules)
    # Minimum numbers of requests and judgements stay: the test sends enough.
    return re.sub(r"for: \d+[mh]", "for: 2s", rules)


def filled(expression: str) -> str:
    """An expression of the dashboard with Grafana's variables filled in as for a short range."""
    values = {"$__rate_interval": "15s", "$__range": "60s", "$job": ".*", "$instance": ".*"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    return expression


def dashboard_expressions() -> list[tuple[str, str]]:
    """(panel title, expression) of every target."""
    return [(panel["title"], filled(target["expr"])) for panel in json.loads(DASHBOARD.read_text())["panels"]
            for target in panel.get("targets", [])]


class Prometheus:
    def __init__(self, folder: pathlib.Path, target: str, rules: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.port = harness.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "rules.yaml").write_text(rules)
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: [{folder}/rules.yaml]\n"
            "scrape_configs:\n"
            "  - {job_name: enhanced-gptcache, static_configs: [{targets: ['" + target + "']}]}\n")
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            [machine.program("prometheus"), f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=self.log, stderr=self.log)

    def is_ready(self) -> bool:
        try:
            return requests.get(self.url + "/-/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def query(self, expression: str) -> list[dict]:
        answer = requests.get(self.url + "/api/v1/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        return answer["data"]["result"]

    def rules(self) -> list[dict]:
        groups = requests.get(self.url + "/api/v1/rules", timeout=10).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def firing(self) -> set[str]:
        return {rule["name"] for rule in self.rules() if rule.get("state") == "firing"}

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()
