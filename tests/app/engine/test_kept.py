"""Pictures that somebody keeps: until a day, within limits, deletable by who kept them and nobody else."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import anyio
import numpy as np
import pytest
from PIL import Image

from app.engine.kept import LONGEST, KeptPictures
from app.failures import KeepingError
from app.main import _sweep

DAY = 24 * 60 * 60


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(tmp_path: Path, clock: Clock) -> KeptPictures:
    return KeptPictures(tmp_path / "kept", days=2, most=2, most_bytes=10**6, clock=clock)


def picture(colour: str, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, colour)


def files(kept: KeptPictures) -> list[str]:
    return sorted(file.suffix for file in kept.folder.glob("*"))


def test_a_kept_picture_is_found_by_the_hash_of_its_file(kept, clock):
    receipt = kept.keep(picture("red"))
    found = Image.open(io.BytesIO(kept.get(receipt.hash)))
    assert found.size == (64, 48)
    assert np.asarray(found.convert("RGB"))[20, 20].tolist() == pytest.approx([255, 0, 0], abs=6)
    assert receipt.until == clock.now + 2 * DAY


def test_it_is_gone_after_its_last_day_and_the_sweep_deletes_its_files(kept, clock):
    receipt = kept.keep(picture("red"))
    clock.now += 2 * DAY - 1
    assert kept.get(receipt.hash)
    clock.now += 2
    assert kept.get(receipt.hash) is None
    kept.sweep()
    assert files(kept) == []


def test_a_picture_that_a_killed_service_had_begun_to_write_is_swept_a_day_later(kept, clock):
    kept.keep(picture("red"))
    part = kept.folder / f"{'a' * 64}.webp.1-2.part"
    part.write_bytes(b"half of a pic")
    os.utime(part, (clock.now, clock.now))
    clock.now += DAY - 1
    kept.sweep()
    assert part.exists()  # whoever writes it may still do so
    clock.now += 2
    kept.sweep()
    assert not part.exists()
    assert files(kept) == [".json", ".webp"]


def test_only_its_key_deletes_it(kept):
    receipt = kept.keep(picture("red"))
    with pytest.raises(KeepingError, match="was not kept by you"):
        kept.forget(receipt.hash, ["guessed"])
    kept.forget(receipt.hash, [receipt.key])
    assert kept.get(receipt.hash) is None
    assert files(kept) == []


def test_of_two_who_keep_the_same_picture_the_last_one_deletes_it(kept):
    one, two = kept.keep(picture("red")), kept.keep(picture("red"))
    assert one.hash == two.hash
    kept.forget(one.hash, [one.key])
    assert kept.get(two.hash)
    kept.forget(two.hash, [two.key])
    assert kept.get(two.hash) is None


def test_no_key_stands_on_the_disk(kept):
    receipt = kept.keep(picture("red"))
    assert all(receipt.key.encode() not in file.read_bytes() for file in kept.folder.glob("*"))


def test_it_holds_so_many_pictures_and_takes_more_when_old_ones_go(kept, clock):
    for colour in ("red", "blue"):
        kept.keep(picture(colour))
    with pytest.raises(KeepingError, match=r"2 images .* no room for another"):
        kept.keep(picture("green"))
    clock.now += 3 * DAY
    assert kept.get(kept.keep(picture("green")).hash)


def test_it_holds_so_many_bytes(tmp_path):
    small = KeptPictures(tmp_path, days=2, most=10, most_bytes=50)
    with pytest.raises(KeepingError, match="no room"):
        small.keep(picture("red"))


def test_a_large_picture_is_kept_smaller_and_without_metadata(kept):
    large = picture("red", (LONGEST + 200, 300))
    large.info["exif"] = b"Exif\0\0where it was taken"
    found = Image.open(io.BytesIO(kept.get(kept.keep(large).hash)))
    assert max(found.size) == LONGEST
    assert "exif" not in found.info


def test_keeping_can_be_off(tmp_path):
    with pytest.raises(KeepingError, match="keeps no images"):
        KeptPictures(tmp_path, days=0, most=1, most_bytes=1).keep(picture("red"))


@pytest.mark.parametrize("name", ["", "..", "../secret", "0" * 63, "0" * 64])
def test_what_is_no_hash_of_a_kept_picture_is_not_there(kept, name):
    assert kept.get(name) is None


def test_the_api_gives_a_kept_picture_and_nothing_else(client):
    receipt = client.app.state.engine.kept.keep(picture("red"))
    answer = client.get(f"/v1/images/{receipt.hash}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    client.app.state.engine.kept.forget(receipt.hash, [receipt.key])
    gone = client.get(f"/v1/images/{receipt.hash}")
    assert gone.status_code == 404
    assert gone.headers["content-type"] == "application/problem+json"


def noise(size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def test_a_picture_is_kept_without_loss_while_it_needs_no_more_than_its_share(kept):
    small, large = noise((64, 48)), noise((512, 512))
    receipts = [kept.keep(each) for each in (small, large)]
    found = [np.asarray(Image.open(io.BytesIO(kept.get(each.hash))).convert("RGB")) for each in receipts]
    assert [each.exact for each in receipts] == [True, False]
    assert np.array_equal(found[0], np.asarray(small))
    assert not np.array_equal(found[1], np.asarray(large))


def test_a_picture_that_is_made_smaller_is_not_exact(kept):
    assert not kept.keep(picture("red", (LONGEST + 200, 300))).exact


def test_until_when_a_picture_is_kept_is_the_last_day_of_its_keepers(kept, clock):
    first = kept.keep(picture("red"))
    clock.now += DAY
    second = kept.keep(picture("red"))
    assert kept.until(first.hash) == second.until
    assert kept.until("0" * 64) is None
    assert kept.until("../x") is None


def test_a_damaged_list_of_keepers_is_nobody_s_and_the_sweep_goes_on(kept, clock, client):
    red, blue = kept.keep(picture("red")), kept.keep(picture("blue"))
    for damage in ("", "[]", '{"a": "b"}', "\xff"):
        (kept.folder / f"{red.hash}.json").write_text(damage, encoding="latin-1")
        assert kept.get(red.hash) is None
        assert kept.until(red.hash) is None
        with pytest.raises(KeepingError, match="was not kept by you"):
            kept.forget(red.hash, [red.key])
    clock.now += 3 * DAY
    kept.sweep()
    assert files(kept) == []
    assert kept.get(blue.hash) is None

    served = client.app.state.engine.kept
    shared = served.keep(picture("red"))
    (served.folder / f"{shared.hash}.json").write_text("")
    assert client.get(f"/v1/images/{shared.hash}").status_code == 404
    served.sweep()


def test_a_sweep_that_fails_is_not_the_last(monkeypatch, caplog):
    sweeps: list[float] = []

    class Broken:
        def sweep(self) -> None:
            sweeps.append(1)
            raise RuntimeError("no sweep")

    async def run() -> None:
        with anyio.move_on_after(10), anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_sweep, Broken())
                while len(sweeps) < 2:
                    await anyio.sleep(0.01)
                scope.cancel()

    monkeypatch.setattr("app.main._SWEEP_SECONDS", 0.01)
    anyio.run(run)
    assert len(sweeps) >= 2
    assert "RuntimeError: no sweep" in caplog.text


def test_files_that_cannot_be_written_or_read_now_are_said_and_stay(kept, clock, monkeypatch):
    red, blue = kept.keep(picture("red")), kept.keep(picture("blue"))
    clock.now += 3 * DAY
    unlink, read = Path.unlink, Path.read_text

    def busy(path: Path, *data: bytes, **options: bool) -> None:
        if path.stem == red.hash:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", busy)
        kept.sweep()
        assert {file.stem for file in kept.folder.glob("*")} == {red.hash}
        patch.setattr("app.engine.kept._write", busy)
        with pytest.raises(KeepingError, match="cannot write"):
            kept.keep(picture("red"))
    clock.now -= 3 * DAY

    def too_many_files(path: Path, **options: str) -> str:
        if path.stem == red.hash:
            raise OSError(24, "Too many open files", str(path))
        return read(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", too_many_files)
        assert kept.get(red.hash) is None
        kept.sweep()
    assert kept.get(red.hash)
    assert kept.get(blue.hash) is None


def test_so_many_keepers_of_a_picture_are_known_and_the_last_ones_win(kept, monkeypatch):
    monkeypatch.setattr("app.engine.kept._KEEPERS", 3)
    receipts = [kept.keep(picture("red")) for _ in range(5)]
    assert len(json.loads((kept.folder / f"{receipts[0].hash}.json").read_text())) == 3
    with pytest.raises(KeepingError, match="was not kept by you"):
        kept.forget(receipts[1].hash, [receipts[1].key])
    for receipt in receipts[2:]:
        assert kept.get(receipt.hash)
        kept.forget(receipt.hash, [receipt.key])
    assert files(kept) == []
