"""The principal components are read back at start, and a damaged file costs no start."""

import harness


def pca_state(server) -> str:
    return str(server.get("/health").json()["checks"]["components"]["pca_wrapper"])


def fill(server, key) -> None:
    words = ("river", "cloud", "engine", "novel", "bridge", "garden", "planet", "violin", "market", "desert")
    rows = [{"query": f"What is a {words[n % 10]} made of in the year {1900 + n}?", "response": str(n)}
            for n in range(80)]
    server.post("/cache/entries", {"entries": rows}, key)


def test_pca_goes_on_after_a_restart_and_after_damage(start_server, tmp_path, key):
    path = tmp_path / "components.bin"
    settings = {"EGPTC_PCA__TRAINING_SAMPLES": 30, "EGPTC_PCA__COMPRESSION_THRESHOLD": 1,
                "EGPTC_PCA__MODEL_PATH": path}
    server = start_server(settings)
    fill(server, key)
    harness.wait_until(path.exists, 10, "a fit")
    assert server.stop() == 0

    server = start_server(settings)
    assert "goes on from its file" in pca_state(server)
    assert server.metrics()["pca_files_refused_total"] == 0
    assert server.stop() == 0

    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    server = start_server(settings)
    assert "checksum" in pca_state(server) and "components.bin" in pca_state(server)
    assert server.get("/health").json()["overall_status"] == "healthy"
    assert server.metrics()["pca_files_refused_total"] == 1
    assert "components.bin.damaged" in server.log()
    assert path.with_name("components.bin.damaged").read_bytes() == content
    fill(server, key)
    harness.wait_until(path.exists, 10, "a fit after the damage")
