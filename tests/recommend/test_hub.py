"""The Hugging Face Hub, for which a local folder stands in."""

import fnmatch
import inspect
import shutil
from pathlib import Path

import huggingface_hub
import pytest

import shops
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.recommender import Recommender

# What the library itself takes.
DOWNLOAD = inspect.signature(huggingface_hub.snapshot_download)
CREATE = inspect.signature(huggingface_hub.HfApi.create_repo)
UPLOAD = inspect.signature(huggingface_hub.HfApi.upload_folder)


class Hub:
    """Repositories as folders; remembers how it was called."""

    def __init__(self, folder):
        self.folder, self.calls = folder, []

    def snapshot_download(self, repo_id, **options):
        DOWNLOAD.bind(repo_id, **options)
        self.calls.append(("snapshot_download", repo_id, options))
        repository = self.folder / repo_id
        if not repository.is_dir():
            raise OSError(f"404\n\nRepository {repo_id} Not Found")
        target = self.folder / "cache" / repo_id.replace("/", "--")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in repository.iterdir():
            if any(fnmatch.fnmatch(path.name, p) for p in options["allow_patterns"]):
                shutil.copy(path, target)
        return str(target)

    def api(self, token=None):
        self.calls.append(("HfApi", token))
        return self

    def create_repo(self, repo_id, **options):
        CREATE.bind(self, repo_id, **options)
        self.calls.append(("create_repo", repo_id, options))
        (self.folder / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, *, repo_id, folder_path, allow_patterns, **options):
        UPLOAD.bind(self, repo_id=repo_id, folder_path=folder_path, **options)
        self.calls.append(("upload_folder", repo_id, options))
        target = self.folder / repo_id
        for path in target.iterdir():
            if fnmatch.fnmatch(path.name, options["delete_patterns"]):
                path.unlink()
        for path in Path(folder_path).iterdir():
            if any(fnmatch.fnmatch(path.name, p) for p in allow_patterns):
                shutil.copy(path, target)

        class Commit:
            repo_url = f"https://huggingface.co/{repo_id}"

        return Commit()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", hub.api)
    return hub


@pytest.fixture
def shop(tmp_path):
    shop = shops.shop()
    shop.save(tmp_path / "model")
    return shop


@pytest.mark.parametrize("name", ["me/shop", "hf-hub:me/shop"])
def test_a_model_comes_back_from_the_hub_as_it_was_pushed(shop, hub, name):
    assert shop.push(name) == "https://huggingface.co/me/shop"
    assert hub.calls[:2] == [
        ("HfApi", None),
        ("create_repo", "me/shop", {"private": True, "exist_ok": True}),
    ]
    loaded = Recommender.from_pretrained(name, revision="v1", cache_dir="kept")
    _, repository, options = hub.calls[-1]
    assert repository == "me/shop"
    assert (options["revision"], options["cache_dir"]) == ("v1", "kept")
    shops.assert_same_answers(shops.answers(shop), shops.answers(loaded))
    by_load = Recommender.load("hf-hub:me/shop")
    assert by_load.recommend("red dress") == loaded.recommend("red dress")


def test_only_the_files_of_the_model_are_pushed(shop, hub, tmp_path):
    (tmp_path / "model" / "notes.txt").write_text("secret")
    shop.push("me/shop", private=False, token="hf_x")
    assert hub.calls[0] == ("HfApi", "hf_x")
    assert hub.calls[1][2]["private"] is False
    names = {path.name for path in (tmp_path / "model").iterdir()}
    pushed = {path.name for path in (tmp_path / "hub/me/shop").iterdir()}
    assert pushed == names - {"notes.txt", ".lock"}
    assert "README.md" in pushed


def test_pushing_again_removes_files_of_the_version_before(shop, hub, tmp_path):
    shop.push("me/shop")
    shop.record("u1", "i7", "red dress")
    shop.save()
    shop.push("me/shop")
    pushed = {path.name for path in (tmp_path / "hub/me/shop").iterdir()}
    assert "users.2.parquet" in pushed and "users.parquet" not in pushed
    assert Recommender.from_pretrained("me/shop").recommend("x", "u1")


def test_nothing_else_of_a_repository_is_downloaded(shop, hub, tmp_path):
    shop.push("me/shop")
    for name in ("evil.py", "weights.pkl", "huge.bin", "open_clip.pt"):
        (tmp_path / "hub/me/shop" / name).write_bytes(b"x")
    Recommender.from_pretrained("me/shop")
    downloaded = {path.suffix for path in (tmp_path / "hub/cache/me--shop").iterdir()}
    assert downloaded == {".json", ".md", ".npy", ".npz", ".parquet", ".safetensors"}


def test_what_was_downloaded_is_not_changed_by_saving(shop, hub, tmp_path):
    shop.push("me/shop")
    loaded = Recommender.from_pretrained("me/shop")
    loaded.record("u1", "i7")
    with pytest.raises(UserError, match="in no folder of its own"):
        loaded.save()
    loaded.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "README.md").read_text() == "# A card\n"
    loaded.record("u1", "i8")
    assert loaded.save() == tmp_path / "mine"


def test_a_folder_may_stand_for_a_repository(shop, hub, tmp_path):
    loaded = Recommender.from_pretrained(tmp_path / "model")
    assert hub.calls == []
    loaded.record("u1", "i7")
    assert loaded.save() == tmp_path / "model"


def test_what_cannot_be_downloaded_is_one_error(hub):
    for load in (Recommender.from_pretrained, Recommender.load):
        with pytest.raises(UserError) as error:
            load("hf-hub:me/nothing")
        assert str(error.value) == (
            "hf-hub:me/nothing could not be downloaded: 404 Repository me/nothing Not "
            "Found. Without a network, copy the model's folder here and load it by its "
            "path."
        )


def test_without_a_network_the_library_itself_ends_in_one_error(tmp_path):
    # the tests run with HF_HUB_OFFLINE
    with pytest.raises(UserError, match="hf-hub:me/nothing could not be downloaded"):
        Recommender.from_pretrained("me/nothing", cache_dir=tmp_path)
    with pytest.raises(UserError, match="could not be downloaded"):
        Recommender.from_pretrained("not a name/at/all")


def test_a_damaged_download_is_refused(shop, hub, tmp_path):
    shop.push("me/shop")
    (tmp_path / "hub/me/shop/memory.npz").write_bytes(b"x")
    with pytest.raises(UserError, match="memory.npz has 1 bytes"):
        Recommender.from_pretrained("me/shop")


def test_what_cannot_be_uploaded_is_one_error(shop, hub, monkeypatch):
    def refuse(*args, **options):
        raise OSError("401\nUnauthorized")

    monkeypatch.setattr(Hub, "create_repo", refuse)
    with pytest.raises(UserError, match="401 Unauthorized. Log in with: hf auth login"):
        shop.push("me/shop")


def test_a_damaged_model_is_not_uploaded(shop, hub, tmp_path):
    (tmp_path / "model" / "memory.npz").write_bytes(b"x")
    with pytest.raises(UserError, match="memory.npz has 1 bytes"):
        shop.push("me/shop")
    assert hub.calls == []
