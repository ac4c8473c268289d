"""Alert rules in the production guide's words become Prometheus rules that mean the same."""

import re
import sys

import pytest
import yaml

import machine

TOOL = machine.DEPLOY / "alerting/from_vocabulary.py"
# Name, condition, duration, severity and channels of the guide's eight.
EIGHT = [("System Down", "health_check_failed > 3", None, "critical", "email slack pagerduty"),
         ("High Error Rate", "error_rate > 5%", "5m", "critical", "email slack"),
         ("Memory Usage Critical", "memory_usage > 90%", "2m", "critical", "email slack"),
         ("Performance Degradation", "p95_response_time > 100ms", "10m", "warning", "slack"),
         ("Cache Hit Rate Low", "cache_hit_rate < 30%", "15m", "warning", "slack"),
         ("Memory Usage High", "memory_usage > 80%", "5m", "warning", "slack"),
         ("Configuration Change", "config_reload_event", None, "info", "slack"),
         ("Deployment Event", "deployment_event", None, "info", "slack")]


def vocabulary(rows) -> str:
    rules: dict = {}
    for name, condition, duration, severity, channels in rows:
        rule = {"name": name, "condition": condition, "severity": severity, "notification": channels.split()}
        rules.setdefault(severity, []).append({**rule, **({"duration": duration} if duration else {})})
    return yaml.safe_dump({"alerting_rules": rules})


def convert(tmp_path, text: str):
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    return machine.run(sys.executable, TOOL, file)


def alerts(text: str) -> dict[str, dict]:
    return {rule["alert"]: rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]
            if "alert" in rule}


def test_the_eight_of_the_guide(tmp_path):
    done = convert(tmp_path, vocabulary(EIGHT))
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out.yaml"
    out.write_text(done.stdout)
    machine.succeed(machine.program("promtool"), "check", "rules", out)
    made = alerts(done.stdout)
    shipped = alerts((machine.DEPLOY / "alerting/rules.yaml").read_text())
    assert len(made) == 8
    for name, rule in made.items():
        ours = shipped[name]
        assert {key: ours["labels"][key] for key in ("severity", "notify")} == rule["labels"], name
        assert rule.get("for") in (ours.get("for"), "60s"), name
        # The shipped ones say the same, some with a minimum of traffic besides.
        assert rule["expr"] in ours["expr"].replace("0.30", "0.3"), name


@pytest.mark.parametrize("change, words", [
    ({"condition": "error_rate > 5"}, "compared in %"), ({"condition": "load > 3"}, "load > 3"),
    ({"condition": "memory_usage > 90ms"}, "compared in %"), ({"duration": "long"}, "long"),
    ({"severity": "fatal"}, "fatal"), ({"notification": ["fax"]}, "fax"), ({"colour": "red"}, "colour"),
    ({"name": ""}, "no name")], ids=str)
def test_a_wrong_rule_is_named(tmp_path, change, words):
    rule = {"name": "One", "condition": "error_rate > 5%", "duration": "5m", "severity": "critical",
            "notification": ["email"]}
    done = convert(tmp_path, yaml.safe_dump({"alerting_rules": {"critical": [{**rule, **change}]}}))
    assert done.returncode == 1 and words in done.stderr and not done.stdout


@pytest.mark.parametrize("text", ["", "[]", "alerting_rules: 7", "alerting_rules: {fatal: []}", "a: ["],
                         ids=str)
def test_a_file_of_another_kind_is_refused(tmp_path, text):
    done = convert(tmp_path, text)
    assert done.returncode == 1 and "from_vocabulary.py:" in done.stderr
    assert not re.search("Traceback", done.stderr)
