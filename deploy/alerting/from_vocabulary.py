#!/usr/bin/env python3
"""Prometheus rules from alert rules in the production guide's words:

    alerting_rules:
      critical:
        - {name: "High Error Rate", condition: "error_rate > 5%", duration: 5m, severity: critical,
           notification: [email, slack]}

usage: from_vocabulary.py RULES.yaml > my_rules.yaml      (needs PyYAML; Debian: python3-yaml)

For rules of your own in that form. The eight of the guide are in rules.yaml already, with texts and with
minimum numbers of requests. The recorded ratios they build on are taken over from there.
"""

import pathlib
import re
import sys

import yaml

SHIPPED = pathlib.Path(__file__).resolve().parent / "rules.yaml"
SCRAPE_SECONDS = 15
SEVERITIES = ("critical", "warning", "info")
CHANNELS = ("email", "slack", "pagerduty")
# Signal: (series, unit it is compared in, what one unit of the condition is in that series).
SIGNALS = {"error_rate": ("job:request_failures:ratio_rate2m", "%", 0.01),
           "memory_usage": ("memory_usage_percent", "%", 1),
           "cpu_usage": ("cpu_usage_percent", "%", 1),
           "p95_response_time": ("job:hit_response_time_ms:p95_5m", "ms", 1),
           "cache_hit_rate": ("job:cache_hits:ratio_increase15m", "%", 0.01)}
EVENTS = {"config_reload_event": 'increase(config_reload_total{result="applied"}[5m]) > 0',
          "deployment_event": "deployment_info unless deployment_info offset 5m"}
CONDITION = re.compile(r"(\w+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*(%|ms)?")


class RuleError(ValueError):
    """Says which rule, which field, what it is and what it may be."""


def expression(name: str, condition: str) -> tuple[str, str | None]:
    """PromQL of a condition, and the duration that lies in it."""
    if condition in EVENTS:
        return EVENTS[condition], None
    found = CONDITION.fullmatch(condition.strip())
    if found and found[1] == "health_check_failed" and found[2] == ">" and not found[4]:
        checks = int(float(found[3])) + 1
        return 'up{job="enhanced-gptcache"} == 0', f"{checks * SCRAPE_SECONDS}s"
    if not found or found[1] not in SIGNALS:
        known = ", ".join([*SIGNALS, "health_check_failed", *EVENTS])
        raise RuleError(f'{name}: condition "{condition}" is not SIGNAL < or > NUMBER with one of {known}')
    series, unit, factor = SIGNALS[found[1]]
    if found[4] != unit:
        raise RuleError(f'{name}: condition "{condition}": {found[1]} is compared in {unit}')
    return f"{series} {found[2]} {round(float(found[3]) * factor, 6):g}", None


def alert(rule: dict, group: str) -> dict:
    name = str(rule.get("name", ""))
    if not name:
        raise RuleError(f"a rule of {group} has no name")
    unknown = set(rule) - {"name", "condition", "duration", "severity", "notification"}
    if unknown:
        raise RuleError(f"{name}: unknown field {sorted(unknown)[0]}")
    severity = rule.get("severity", group)
    if severity not in SEVERITIES:
        raise RuleError(f'{name}: severity "{severity}" is none of {", ".join(SEVERITIES)}')
    channels = rule.get("notification", ["slack"])
    if not channels or set(channels) - set(CHANNELS):
        raise RuleError(f'{name}: notification {channels} is no list of {", ".join(CHANNELS)}')
    expr, implied = expression(name, str(rule.get("condition", "")))
    duration = rule.get("duration", implied)
    if duration is not None and not re.fullmatch(r"\d+[smhd]", str(duration)):
        raise RuleError(f'{name}: duration "{duration}" is no time such as 5m')
    out = {"alert": re.sub(r"\W", "", name.title()), "expr": expr}
    if duration is not None:
        out["for"] = str(duration)
    out["labels"] = {"severity": severity, "notify": "-".join(channels)}
    out["annotations"] = {"summary": name, "description": f"{rule['condition']}"}
    return out


def convert(text: str) -> dict:
    rules = (yaml.safe_load(text) or {}).get("alerting_rules")
    if not isinstance(rules, dict) or set(rules) - set(SEVERITIES):
        raise RuleError(f"alerting_rules must hold lists named {', '.join(SEVERITIES)}")
    groups = [group for group in yaml.safe_load(SHIPPED.read_text())["groups"]
              if all("record" in rule for rule in group["rules"])]
    for name, list_ in rules.items():
        made = [alert(rule, name) for rule in list_]
        groups.append({"name": f"enhanced-gptcache-own-{name}", "rules": made})
    return {"groups": groups}


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__, file=sys.stdout if len(sys.argv) == 2 else sys.stderr)
        return 0 if len(sys.argv) == 2 else 2
    try:
        print(yaml.safe_dump(convert(pathlib.Path(sys.argv[1]).read_text()), sort_keys=False), end="")
    except (RuleError, yaml.YAMLError, OSError) as error:
        print(f"from_vocabulary.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
