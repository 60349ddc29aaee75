"""State that is damaged, lost, old or made otherwise, and a disk that is full."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from flows.run.recovery_files import check
from tests.chaos.gauge import Gauge, Scraper, eventually
from tests.chaos.stream import Producing, differences, settle, stream
from tests.chaos.test_supervisor import produce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

OF = stream(31, seconds=120)


def ran(broker: Broker, folder: Path, topic: str, workers: int = 1, **settings: object) -> Gauge:
    """A run that has shown the first half of the stream, and stopped."""
    broker.create_topic(topic, 4)
    produce(broker, topic, OF, 0.0, 0.5)
    gauge = Gauge(folder, broker.bootstrap, [topic], workers, dict(settings)).start()
    gauge.wait_ready()
    time.sleep(1.0)
    assert gauge.stop() == 0
    return gauge


def again(gauge: Gauge, seconds: float) -> None:
    """Some more epochs."""
    gauge.start().wait_ready()
    time.sleep(seconds)
    assert gauge.stop() == 0


def refused(gauge: Gauge, *arguments: str) -> str:
    """What a start says that is refused."""
    gauge.start(*arguments)
    assert gauge.process.wait(30.0) == 78
    assert "Traceback" not in gauge.log
    return gauge.log


def goes_on(broker: Broker, gauge: Gauge, topic: str) -> None:
    """It says what the oracle says, of the whole stream."""
    produce(broker, topic, OF, 0.5, 1.0)
    assert settle(gauge.start(), OF, topic) == []
    assert gauge.stop() == 0


def part(gauge: Gauge, number: int) -> Path:
    return gauge.state / "recovery" / f"part-{number}.sqlite3"


def with_journals(file: Path) -> list[Path]:
    return [file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")]


def truncate(file: Path) -> None:
    for each in with_journals(file)[1:]:
        each.unlink(missing_ok=True)
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2 + 100)


def overwrite(file: Path) -> None:
    for each in with_journals(file)[1:]:
        each.unlink(missing_ok=True)
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(random.Random(7).randbytes(size - 4096))


def make_noise(file: Path) -> None:
    for each in with_journals(file)[1:]:
        each.unlink(missing_ok=True)
    file.write_bytes(random.Random(8).randbytes(50_000))


def empty(file: Path) -> None:
    for each in with_journals(file)[1:]:
        each.unlink(missing_ok=True)
    file.write_bytes(b"")


def remove(file: Path) -> None:
    for each in with_journals(file):
        each.unlink(missing_ok=True)


@pytest.mark.parametrize("hurt", [truncate, overwrite, make_noise, empty, remove])
def test_a_hurt_recovery_file_is_refused_by_name(broker: Broker, tmp_path: Path, hurt: Callable[[Path], None]) -> None:
    topic = f"state-{hurt.__name__}"
    with ran(broker, tmp_path, topic) as gauge:
        shutil.copytree(gauge.state, tmp_path / "kept")
        for number in (2, 7):
            hurt(part(gauge, number))
            said = refused(gauge)
            assert f"part-{number}.sqlite3 is " in said
            assert "--accept-state-loss" in said
            shutil.rmtree(gauge.state)
            shutil.copytree(tmp_path / "kept", gauge.state)
        goes_on(broker, gauge, topic)


@pytest.mark.parametrize("seconds", [3.0, 0.0])
def test_an_older_recovery_file_is_refused_by_name(broker: Broker, tmp_path: Path, seconds: float) -> None:
    topic = f"state-older-{seconds:g}"
    with ran(broker, tmp_path, topic) as gauge:
        old = {number: [tmp_path / f"{number}-{i}" for i in range(3)] for number in range(8)}
        for number, copies in old.items():
            for file, copy in zip(with_journals(part(gauge, number)), copies, strict=True):
                if file.exists():
                    shutil.copy(file, copy)
        again(gauge, seconds)
        shutil.copytree(gauge.state, tmp_path / "kept")
        for number, copies in old.items():
            remove(part(gauge, number))
            for file, copy in zip(with_journals(part(gauge, number)), copies, strict=True):
                if copy.exists():
                    shutil.copy(copy, file)
            said = refused(gauge)
            assert "all parts of the state must be of one age" in said
            assert f"part-{number}.sqlite3 is older than the others" in said or "was begun" in said
            shutil.rmtree(gauge.state)
            shutil.copytree(tmp_path / "kept", gauge.state)
        goes_on(broker, gauge, topic)


def test_all_files_of_one_backup_are_taken_and_lead_to_the_same(broker: Broker, tmp_path: Path) -> None:
    topic = "state-backup"
    with ran(broker, tmp_path, topic) as gauge:
        shutil.copytree(gauge.state, tmp_path / "kept")
        produce(broker, topic, OF, 0.5, 0.75)
        again(gauge, 2.0)
        shutil.rmtree(gauge.state)
        shutil.copytree(tmp_path / "kept", gauge.state)
        produce(broker, topic, OF, 0.75, 1.0)
        assert settle(gauge.start(), OF, topic) == []


def test_state_that_is_given_up_is_put_aside_and_reading_begins_anew(broker: Broker, tmp_path: Path) -> None:
    topic = "state-given-up"
    with ran(broker, tmp_path, topic) as gauge:
        overwrite(part(gauge, 4))
        refused(gauge)
        produce(broker, topic, OF, 0.5, 1.0)
        gauge.start("--accept-state-loss")
        assert settle(gauge, OF, topic) == []
        assert gauge.log.count("state was given up, as --accept-state-loss says") == 1
        assert "part-4.sqlite3 is damaged" in gauge.log
        [aside] = gauge.state.glob("recovery-lost-*")
        assert len(list(aside.glob("part-*.sqlite3"))) == 8
        assert gauge.stop() == 0
        # The option is harmless where nothing is wrong.
        gauge.start("--accept-state-loss")
        assert settle(gauge, OF, topic) == []
        assert "given up" not in gauge.log
        assert len(list(gauge.state.glob("recovery-lost-*"))) == 1


def test_a_changed_frozen_setting_is_refused_with_the_way_out(broker: Broker, tmp_path: Path) -> None:
    topic = "state-frozen"
    with ran(broker, tmp_path, topic) as gauge:
        gauge.config["kafka"]["slots"] = 16
        said = refused(gauge)
        assert "kafka.slots is 16" in said
        assert "was made with 32" in said
        assert "Set it back, name another state_directory, or start with --accept-state-loss" in said
        gauge.config["kafka"]["slots"] = 32
        gauge.config["time"] = {"pane": "10s"}
        assert 'time.pane is "10s"' in refused(gauge)
        del gauge.config["time"]
        goes_on(broker, gauge, topic)


def test_a_manifest_that_cannot_be_used_is_refused_by_name(broker: Broker, tmp_path: Path) -> None:
    topic = "state-manifest"
    with ran(broker, tmp_path, topic) as gauge:
        manifest = gauge.state / "manifest.json"
        good = manifest.read_text()
        plain = json.loads(good)
        for bad, sentence in (
            (good[: len(good) // 2], "manifest.json is damaged"),
            ("[]", "manifest.json is damaged"),
            (json.dumps({**plain, "recovery_partitions": "many"}), "manifest.json is damaged"),
            (json.dumps({**plain, "frozen": 5}), "manifest.json is damaged"),
            (json.dumps({**plain, "format": 2}), "manifest.json is of format 2"),
            (json.dumps({**plain, "steps": [*plain["steps"], "judge_unheard_of"]}), "with the steps judge_unheard_of"),
        ):
            manifest.write_text(bad)
            said = refused(gauge)
            assert sentence in said
            assert "--accept-state-loss" in said
        manifest.write_bytes(b"\xff\xfe\x00")
        assert "manifest.json is damaged" in refused(gauge)
        manifest.unlink()
        assert "manifest.json is missing" in refused(gauge)
        manifest.write_text(good)
        goes_on(broker, gauge, topic)


def test_a_few_slots_and_a_long_silence_do_not_look_like_old_files(broker: Broker, tmp_path: Path) -> None:
    topic = "state-few-slots"
    with ran(broker, tmp_path, topic, kafka={"slots": 2}) as gauge:
        for _ in range(3):
            again(gauge, 1.5)
        goes_on(broker, gauge, topic)


def test_what_a_kill_leaves_never_looks_old(broker: Broker, tmp_path: Path) -> None:
    seed = 33
    print(f"seed {seed}")
    rng = random.Random(seed)
    of = stream(seed, seconds=480)
    topic = broker.create_topic("state-killed", 4)
    gauge = Gauge(tmp_path, broker.bootstrap, [topic], 2, {"supervision": {"epoch": "100ms"}})
    with gauge, Producing(broker, topic, of, 25.0) as producing:
        kills = 0
        while kills < 8 or not producing.is_over:
            eventually(lambda: any(each["state"] == "running" for each in gauge.status().get("workers", ())), "it runs")
            time.sleep(rng.random())
            gauge.kill()
            check([part(gauge, number) for number in range(8)])
            gauge.start()
            kills += 1
        print(f"{kills} kills")
        assert settle(gauge, of, topic) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB, mounted; needs to be root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file: Path) -> None:
    """Take all room that is left, and what becomes free meanwhile."""
    with file.open("ab", buffering=0) as opened:
        try:
            while True:
                opened.write(bytes(4096))
        except OSError:
            return


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_said_and_survived(broker: Broker, tmp_path: Path, small_disk: Path, workers: int) -> None:
    of = stream(32)
    topic = broker.create_topic(f"full-disk-{workers}", 4)
    settings = {"state_directory": str(small_disk / "state"), "supervision": {"free_space": "1MiB"}}
    gauge = Gauge(tmp_path / "run", broker.bootstrap, [topic], workers, settings)
    filler = small_disk / "filler"
    with gauge, Scraper(gauge) as scraper, Producing(broker, topic, of, 14.0):
        gauge.wait_ready()
        full_until = time.monotonic() + 10.0
        said = False
        while time.monotonic() < full_until:
            fill(filler)
            said = said or "bytes are free under the state directory" in " ".join(gauge.status().get("reasons", ()))
            time.sleep(0.1)
        assert said
        assert gauge.process.poll() is None
        print(f"restarts while full: {gauge.log.count('workers ended')}")
        filler.unlink()
        assert settle(gauge, of, topic) == []
        assert scraper.went_back == []
        page = gauge.page()
        assert page is not None
        assert differences(page, of, topic) == []
        assert not any(key.name == "streamgauge_dead_letters_total" and value for key, value in page.items())
        eventually(gauge.is_ready, "it is ready again")
        assert gauge.stop() == 0
        assert settle(gauge.start(), of, topic) == []


def test_a_start_on_a_full_disk_is_refused_in_a_sentence(broker: Broker, tmp_path: Path, small_disk: Path) -> None:
    fill(small_disk / "filler")
    settings = {"state_directory": str(small_disk / "state")}
    with Gauge(tmp_path / "run", broker.bootstrap, ["any"], settings=settings) as gauge:
        assert gauge.process.wait(20.0) == 78
        assert "No space left on device" in gauge.log
        assert "Traceback" not in gauge.log
