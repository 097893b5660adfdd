"""A Ray cluster of three nodes on this machine: a head, and two that work, one of which is killed at it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import tiny
from swath import Segmenter
from swath.cli.main import main
from swath.cluster import label_map

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
pytest.importorskip("ray.data", reason="Ray (swath[ray]) is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow (swath[ray]) is not installed")

PICTURES = 360
EACH = 6
NOTICED = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    node = {"object_store_memory": 80_000_000}
    head = {**node, "num_cpus": 0, "include_dashboard": False, "_system_config": NOTICED}
    found = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        found.add_node(num_cpus=1, **node)
    yield found
    found.shutdown()


def archive(folder: Path) -> None:
    tiny.weights(folder / "w.safetensors")
    for index in range(PICTURES):
        file = folder / "in" / f"s{index % 3}" / f"p{index:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), tiny.picture(index, 200, 300)[:, :, ::-1])
    (folder / "in/s1/broken.jpg").write_bytes(b"nothing")


def finished(folder: Path) -> dict[int, dict[str, Any]]:
    return {int(path.stem): json.loads(path.read_text()) for path in (folder / "out/_swath/done").glob("0*.json")}


@pytest.mark.slow
def test_every_picture_once_though_a_node_is_killed(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive(tmp_path)
    monkeypatch.chdir(tmp_path)
    when_killed: list[int] = []

    def kill() -> None:
        """The first node whose actor has done a part; it is at the next one then."""
        while not when_killed:
            time.sleep(0.02)
            done = finished(tmp_path)
            for node in list(cluster.worker_nodes):
                if any(part["node"].endswith(node.node_id) for part in done.values()) and not when_killed:
                    when_killed.append(len(done))
                    cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    words = [
        "predict",
        "w.safetensors",
        "in",
        "--out",
        "out",
        "--engine",
        "ray",
        "--as",
        "parquet",
        "--part",
        str(EACH),
    ]
    assert main([*words, "--cluster", cluster.address]) == 1
    killer.join(30)
    told = capsys.readouterr()
    assert when_killed and when_killed[0] < PICTURES // EACH
    assert "2 actors of 1 thread (2 cores on 2 machines" in told.out
    assert f"1 of {PICTURES + 1} pictures were not segmented" in told.err

    rows = [row for path in sorted(Path("out").glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]
    names = sorted(path.relative_to("in").as_posix() for path in Path("in").rglob("*.png"))
    assert [row["name"] for row in rows] == names
    segmenter = Segmenter("w.safetensors")
    for row in rows[::40]:
        labels = segmenter(f"in/{row['name']}").labels
        assert np.array_equal(label_map(row["height"], row["width"], row["classes"], row["counts"]), labels)

    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.parquet")}
    assert main(words) == 1  # without a cluster: nothing is left to do
    assert before == {path: path.stat().st_mtime_ns for path in Path("out").glob("*.parquet")}
