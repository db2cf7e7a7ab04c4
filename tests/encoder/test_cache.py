import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cache_workers import ROWS, Fake, Slow, slow_texts, work, write_half_and_die

from recbole_whisperlite.encoder import cache
from recbole_whisperlite.errors import UserError

TEXTS = ["dress", "shoes", "dress", "hat"]


class NotToBeAsked(Fake):
    def encode(self, texts):
        raise AssertionError("the cache should have answered")


def vectors(encoder, folder, texts=TEXTS, dtype="float32"):
    return cache.vectors(encoder, "fake", texts, folder, np.dtype(dtype))


def entries(folder):
    return sorted(Path(folder).glob("*.npy"))


def test_rows_follow_the_texts_and_equal_texts_are_encoded_once(tmp_path):
    encoder = Fake()
    result = vectors(encoder, tmp_path)
    assert encoder.asked == [["dress", "shoes", "hat"]]
    assert result.tolist() == [[5, 100], [5, 115], [5, 100], [3, 104]]
    assert isinstance(result, np.memmap) and not result.flags.writeable


def test_a_second_time_the_encoder_is_not_asked(tmp_path):
    first = vectors(Fake(), tmp_path)
    second = vectors(NotToBeAsked(), tmp_path)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": Fake(version=2)},
        {"dtype": "float16"},
        {"texts": ["dress", "shoes", "hat", "dress"]},
        {"texts": ["dress", "shoes", "dressh", "at"]},
    ],
    ids=["fingerprint", "dtype", "order", "borders between texts"],
)
def test_whatever_shapes_the_vectors_makes_another_entry(tmp_path, change):
    vectors(Fake(), tmp_path)
    vectors(**{"encoder": Fake(), "folder": tmp_path, **change})
    assert len(entries(tmp_path)) == 2


def test_float16_is_half_as_large_on_disk_and_rounded(tmp_path):
    texts = [f"text {'x' * n}" for n in range(3000)]
    full = vectors(Fake(), tmp_path / "32", texts)
    half = vectors(Fake(), tmp_path / "16", texts, "float16")
    sizes = [entries(tmp_path / name)[0].stat().st_size - 128 for name in ("32", "16")]
    assert sizes == [3000 * 2 * 4, 3000 * 2 * 2]  # after numpy's header of 128 bytes
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, full.astype(np.float16))
    assert (half != full).any()


@pytest.mark.parametrize("size", [0, 64, 130, -1])
def test_a_damaged_entry_is_made_anew(tmp_path, size):
    expected = np.array(vectors(Fake(), tmp_path))
    (entry,) = entries(tmp_path)
    os.truncate(entry, size if size >= 0 else entry.stat().st_size - 1)
    encoder = Fake()
    np.testing.assert_array_equal(vectors(encoder, tmp_path), expected)
    assert encoder.asked
    np.testing.assert_array_equal(vectors(NotToBeAsked(), tmp_path), expected)


def test_vectors_that_are_not_finite_are_refused_and_not_kept(tmp_path):
    class Broken(Fake):
        def encode(self, texts):
            return np.array([[1, 2], [np.nan, 0], [3, 4]], dtype=np.float32)

    with pytest.raises(UserError, match="1 of 3 texts .* not finite, first: 'shoes'"):
        vectors(Broken(), tmp_path)
    assert not entries(tmp_path)


def test_numbers_too_large_for_float16_are_refused(tmp_path):
    class Large(Fake):
        def encode(self, texts):
            return np.full((len(texts), 2), 70000, dtype=np.float32)

    assert vectors(Large(), tmp_path).max() == 70000
    with pytest.raises(UserError, match="vector_dtype"):
        vectors(Large(), tmp_path, dtype="float16")


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/cache.*Set cache_dir"):
        vectors(Fake(), tmp_path / "file" / "cache")


def test_a_full_disk_leaves_no_entry(tmp_path, monkeypatch):
    def save(file, array, **kwargs):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.np, "save", save)
    with pytest.raises(UserError, match="No space left on device"):
        vectors(Fake(), tmp_path)
    monkeypatch.undo()
    assert not entries(tmp_path)
    assert vectors(Fake(), tmp_path).shape == (4, 2)
    assert not list(tmp_path.glob("*.part"))


# ------------------------------------------------- other processes, killed or at once


@pytest.fixture(scope="module")
def context():
    """Children come from a server that has the package loaded, which saves seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["recbole_whisperlite.encoder.cache"])
    return context


def start(context, *args):
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(args[0], there, *args[1:]))
    process.start()
    there.close()
    assert here.poll(60) and here.recv() == "ready"
    return process, here


def test_a_process_killed_at_any_moment_leaves_a_whole_entry_or_none(tmp_path, context):
    unfinished = 0
    for delay in np.linspace(0, 0.5, 6):
        for entry in entries(tmp_path):
            entry.unlink()
        process, _ = start(context, tmp_path)
        time.sleep(delay)
        process.kill()
        process.join()
        for entry in entries(tmp_path):
            whole = np.load(entry)
            assert whole.shape == (ROWS, 400) and (whole[:, 0] >= 1).all()
        unfinished += not entries(tmp_path)
    assert unfinished >= 2  # killed while it worked, not only after
    result = vectors(Slow(), tmp_path, slow_texts())
    assert result[12_345, 0] == 5
    assert not list(tmp_path.glob("*.part"))


def test_what_a_process_wrote_when_it_was_killed_is_removed(tmp_path, context):
    process = context.Process(target=write_half_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.part"))) == 1 and not entries(tmp_path)
    # Another entry is asked for: the leftover is nobody's, and goes too.
    vectors(Fake(version=2), tmp_path)
    assert not list(tmp_path.glob("*.part"))
    assert len(entries(tmp_path)) == 1


def test_what_a_living_process_is_writing_stays(tmp_path):
    part = tmp_path / "fake-0.part"
    part.write_bytes(b"half of it")
    with cache._locked(part):
        thread = threading.Thread(target=vectors, args=(Fake(), tmp_path))
        thread.start()
        thread.join()
        assert part.exists()
    vectors(Fake(version=2), tmp_path)
    assert not part.exists()


def test_of_two_processes_at_once_one_encodes_and_both_succeed(tmp_path, context):
    log = tmp_path / "log"
    running = [start(context, tmp_path / "cache", str(log)) for _ in range(2)]
    for process, pipe in running:
        assert pipe.poll(60) and pipe.recv() == "done"
        process.join()
        assert process.exitcode == 0
    assert log.read_text() == "encoding\n"
    assert len(entries(tmp_path / "cache")) == 1
