"""What hits save and misses spend, in tokens and in the operator's prices."""

import json

import pytest

import harness
from settings_walk import changes, setting

PRICES = {"EGPTC_MONITORING__PRICES": "stand-in-1=2/8,stand-in*=1/1"}
QUESTION = "How do I prune an apple tree?"


def usage(answer) -> dict:
    return answer.json()["usage"]


def cost(metrics: dict, use: str, model: str, currency: str = "USD") -> float:
    return metrics.get(f'cost_{use}_total{{model="{model}",currency="{currency}"}}', 0.0)


def tokens(metrics: dict, model: str, use: str, kind: str) -> float:
    return metrics.get(f'model_tokens_total{{model="{model}",use="{use}",kind="{kind}"}}', 0.0)


@changes("monitoring.prices")
def test_a_miss_and_a_hit_cost_what_the_table_says(start_server, key):
    """One miss, two hits, one streamed hit: each series grows by exactly what they come to."""
    server = start_server(PRICES)
    spent = usage(server.chat(QUESTION, key))
    assert server.chat(QUESTION, key).headers["x-cache"] == "HIT"
    assert server.chat(QUESTION, key, stream=True).headers["x-cache"] == "HIT"
    other = usage(server.chat(QUESTION, key, model="stand-in-2"))
    price = spent["prompt_tokens"] * 2 + spent["completion_tokens"] * 8
    metrics = server.metrics()
    assert cost(metrics, "spent", "stand-in-1") == pytest.approx(price / 1e6)
    assert cost(metrics, "saved", "stand-in-1") == pytest.approx(2 * price / 1e6)
    assert cost(metrics, "spent", "stand-in*") == pytest.approx(other["total_tokens"] / 1e6)
    assert cost(metrics, "saved", "stand-in*") == 0
    assert tokens(metrics, "stand-in-1", "spent", "prompt") == spent["prompt_tokens"]
    assert tokens(metrics, "stand-in-1", "saved", "completion") == 2 * spent["completion_tokens"]
    assert metrics["tokens_saved_total"] == 2 * spent["total_tokens"]
    assert metrics["tokens_spent_total"] == spent["total_tokens"] + other["total_tokens"]


def test_without_prices_there_are_tokens_and_no_money(start_server, key):
    server = start_server()
    spent = usage(server.chat(QUESTION, key))
    metrics = server.metrics()
    assert tokens(metrics, "unpriced", "spent", "prompt") == spent["prompt_tokens"]
    assert not [name for name in metrics if name.startswith("cost_")]
    assert live(server)["cost"] is None


def test_models_without_a_row_are_one_series(start_server, key):
    """However many models callers name: the number of series is the operator's."""
    server = start_server({"EGPTC_MONITORING__PRICES": "gpt-*=1/2"})
    for number in range(5):
        server.chat(QUESTION, key, model=f"made-up-{number}")
    names = [name for name in server.metrics() if name.startswith("model_tokens_total")]
    assert {name.partition('model="')[2].partition('"')[0] for name in names} == {"gpt-*", "unpriced"}


def test_new_prices_change_what_comes_and_not_what_was(start_server, key):
    server = start_server()
    first_prices = ["stand-in-1=2/8"]
    assert server.request("PUT", "/admin/config", json={"monitoring.prices": first_prices}).status_code == 200
    first = usage(server.chat(QUESTION, key))
    before = cost(server.metrics(), "spent", "stand-in-1")
    with setting(server, monitoring__prices=["stand-in-1=0/100"]):
        second = usage(server.chat("How do I prune a pear tree in winter?", key))
        after = cost(server.metrics(), "spent", "stand-in-1")
    assert before == pytest.approx((first["prompt_tokens"] * 2 + first["completion_tokens"] * 8) / 1e6)
    assert after - before == pytest.approx(second["completion_tokens"] * 100 / 1e6)


def live(server) -> dict:
    with server.get("/admin/events", stream=True) as events:
        for line in events.iter_lines():
            if line.startswith(b"data: "):
                return json.loads(line[6:])
    raise AssertionError("no event came")


@changes("monitoring.currency")
def test_the_currency_is_shown(start_server, key):
    server = start_server({**PRICES, "EGPTC_MONITORING__CURRENCY": "EUR"})
    server.chat(QUESTION, key)
    assert cost(server.metrics(), "spent", "stand-in-1", "EUR") > 0
    shown = live(server)["cost"]
    assert shown["currency"] == "EUR" and shown["spent"] > 0 and shown["saved"] == 0
    assert [model["model"] for model in shown["models"]] == ["stand-in-1", "stand-in*"]


@pytest.mark.parametrize(
    "row", ["gpt-4o", "gpt-4o=1", "=1/2", "gpt-4o=1/2/3", "gpt-4o=-1/2", "gpt-4o=1/nan", "gpt-4o=1/2000000"]
)
def test_a_bad_row_is_an_error_that_names_it(tmp_path, row):
    path = tmp_path / "config.yaml"
    path.write_text(harness.REQUIRED_SECTIONS + f"monitoring: {{prices: ['gpt-5=1/2', '{row}']}}\n")
    done = harness.run_binary("validate-config", str(path))
    output = done.stdout + done.stderr
    assert done.returncode == 1 and "monitoring.prices" in output and f'"{row}"' in output, output
    assert "model=input/output" in output


def test_two_prices_for_one_model_are_an_error(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(harness.REQUIRED_SECTIONS + "monitoring: {prices: ['gpt-5=1/2', 'gpt-5=3/4']}\n")
    done = harness.run_binary("validate-config", str(path))
    assert done.returncode == 1 and '"gpt-5=3/4"' in done.stdout + done.stderr


def test_a_currency_has_a_limit(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(harness.REQUIRED_SECTIONS + f"monitoring: {{currency: {17 * 'E'}}}\n")
    done = harness.run_binary("validate-config", str(path))
    output = done.stdout + done.stderr
    assert done.returncode == 1 and "monitoring.currency" in output and "16 bytes" in output
