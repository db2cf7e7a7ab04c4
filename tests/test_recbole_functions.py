"""RecBole's quick start, case study, tuning and utils on a dataset with requests.

docs/recbole-functions.md names the test that shows each function.
"""

import logging
import os
import random
import socket
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.transform import construct_transform
from recbole.quick_start import (
    load_data_and_model,
    objective_function,
    run,
    run_recbole,
    run_recboles,
)
from recbole.trainer import HyperTuning, hyper_tuning
from recbole.utils import (
    EvaluatorType,
    FeatureSource,
    FeatureType,
    InputType,
    KGDataLoaderState,
    ModelType,
    WandbLogger,
    argument_list,
    calculate_valid_score,
    dict2str,
    early_stopping,
    get_environment,
    get_flops,
    get_gpu_usage,
    get_model,
    get_trainer,
    init_logger,
    init_seed,
    list_to_latex,
    set_color,
    url,
)
from recbole.utils.case_study import full_sort_scores, full_sort_topk
from tiny import write_tiny

SETTINGS = {
    "epochs": 1,
    "topk": [3],
    "valid_metric": "NDCG@3",
    "state": "ERROR",
    "show_progress": False,
    "use_gpu": False,
}


def settings(folder, **more):
    return {**SETTINGS, "data_path": str(folder), **more}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with the dozen requests and three trained models: (folder, {model: result})."""
    folder = tmp_path_factory.mktemp("shop")
    write_tiny(folder)
    calls = {"WhisperLite": run_recbole, "SASRec": run_recbole, "BPR": run}
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["pytest"])
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        results = {
            model: call(model, "tiny", config_dict=settings(folder))
            for model, call in calls.items()
        }
    root.setLevel(level)
    root.handlers[:] = handlers
    return folder, results


@pytest.fixture(scope="module")
def config(shop):
    """The Config of WhisperLite on the dozen requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pytest"])
        return Config("WhisperLite", "tiny", config_dict=settings(shop[0]))


# --- quick start and case study ------------------------------------------------------


@pytest.mark.parametrize("model", ["WhisperLite", "SASRec", "BPR"])
def test_a_saved_model_is_loaded_and_answers_the_case_study(model, shop):
    folder, results = shop
    [file] = (folder / "saved").glob(f"{model}-*.pth")
    config, loaded, dataset, _, _, test = load_data_and_model(str(file))
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, loaded)
    again = trainer.evaluate(test, load_best_model=False)
    assert dict(again) == dict(results[model]["test_result"])

    users = dataset.token2id(dataset.uid_field, ["u2", "u1", "u4", "u3"])
    scores = full_sort_scores(users, loaded, test, device=config["device"])
    best, items = full_sort_topk(users, loaded, test, k=3, device=config["device"])
    assert torch.equal(best, scores.sort(dim=1, descending=True).values[:, :3])
    assert torch.equal(scores.gather(1, items), best)
    # each user has one positive in the test set, so the lists give its Recall@3
    chosen = dict(u1="i1", u2="i6", u3="i2", u4="i8")
    listed = dataset.id2token(dataset.iid_field, items)
    hits = [chosen[user] in row for user, row in zip(["u2", "u1", "u4", "u3"], listed)]
    assert np.mean(hits) == results[model]["test_result"]["recall@3"]


def test_one_process_of_a_group_trains_and_reports(shop):
    class Queue:
        put = None

    results = []
    Queue.put = results.append
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    group = {"world_size": 1, "nproc": 1, "offset": 0, "ip": "localhost", "port": port}
    asked = settings(shop[0], gpu_id="", **group)
    run_recboles(0, "BPR", "tiny", None, {"config_dict": asked, "queue": Queue})
    assert not torch.distributed.is_initialized()
    [result] = results
    # of one process, so the same as without a group
    assert dict(result["test_result"]) == dict(shop[1]["BPR"]["test_result"])


# --- tuning --------------------------------------------------------------------------


@pytest.fixture
def tuned(shop, monkeypatch):
    """HyperTuning of BPR with two learning rates, with a chart."""
    pytest.importorskip("hyperopt")
    monkeypatch.setattr("webbrowser.open", lambda *_: True)
    monkeypatch.setenv("BROWSER", "true")
    asked = settings(shop[0], model="BPR", dataset="tiny", embedding_size=4)
    tuning = HyperTuning(
        lambda tried, files: objective_function({**asked, **tried}, files),
        params_dict={"choice": {"learning_rate": [0.5, 1e-9]}},
        display_file="chart.html",
        algo="exhaustive",
    )
    tuning.run()
    return tuning


def test_tuning_finds_the_setting_that_is_best_on_validation(tuned):
    scores = {
        name: result["best_valid_result"]["ndcg@3"]
        for name, result in tuned.params2result.items()
    }
    assert set(scores) == {"learning_rate:0.5", "learning_rate:1e-09"}
    best = tuned.params2str(tuned.best_params)
    assert scores[best] == max(scores.values()) == tuned.best_score


def test_tuning_writes_its_results_and_a_chart(tuned):
    tuned.export_result("results.txt")
    text = Path("results.txt").read_text()
    for name, result in tuned.params2result.items():
        assert f"{name}\nValid result:\n" in text
        assert dict2str(result["test_result"]) in text
    assert "tuning process" in Path("chart.html").read_text("utf-8")


def test_an_exhaustive_search_needs_choices():
    hp = pytest.importorskip("hyperopt").hp
    check = hyper_tuning._validate_space_exhaustive_search
    check({"n_layers": hp.choice("n_layers", [1, 2])})
    with pytest.raises(hyper_tuning.ExhaustiveSearchError, match="only possible with"):
        check({"learning_rate": hp.uniform("learning_rate", 0, 1)})


# --- utils: models, names, numbers ---------------------------------------------------


def test_the_enumerations_describe_our_models_and_fields(config):
    dataset = create_dataset(config)
    assert get_model("WhisperLite").type is ModelType.GENERAL
    assert get_model("WhisperLite").input_type is InputType.POINTWISE
    assert config["MODEL_TYPE"] is ModelType.GENERAL
    assert config["eval_type"] is EvaluatorType.RANKING
    for field in ("request_id", "request"):
        assert dataset.field2type[field] is FeatureType.TOKEN
        assert dataset.field2source[field] is FeatureSource.INTERACTION
    assert {state.name for state in KGDataLoaderState} == {"RSKG", "RS", "KG"}


@pytest.mark.parametrize("kind", ["general", "training", "evaluation", "dataset"])
def test_every_argument_that_recbole_lists_is_accepted_with_requests(
    kind, shop, config
):
    names = getattr(argument_list, f"{kind}_arguments")
    values = {name: config[name] for name in names if name in config}
    assert len(values) > len(names) / 2
    given = {**values, **settings(shop[0])}
    again = Config("WhisperLite", "tiny", config_dict=given)
    for name in set(values) - {"data_path"}:
        assert again[name] == config[name], name


def test_a_seed_makes_all_generators_repeat():
    def drawn():
        init_seed(7, True)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert drawn() == drawn()
    assert len(set(drawn())) == 3


def test_stopping_counts_what_is_no_better():
    # best, steps since, stop, new best
    assert early_stopping(0.5, 0.4, 3, max_step=3) == (0.5, 0, False, True)
    assert early_stopping(0.3, 0.4, 2, max_step=3) == (0.4, 3, False, False)
    assert early_stopping(0.3, 0.4, 3, max_step=3) == (0.4, 4, True, False)
    assert early_stopping(0.3, 0.4, 3, 3, bigger=False) == (0.3, 0, False, True)


def test_results_are_read_and_written(shop):
    result = {"recall@10": 0.1, "Recall@10": 0.2, "ndcg@3": 0.3}
    assert calculate_valid_score(result, "ndcg@3") == 0.3
    assert calculate_valid_score(result) == 0.2
    assert dict2str({"a": 1, "b": 0.5}) == "a : 1    b : 0.5"
    for trained in shop[1].values():
        score = calculate_valid_score(trained["best_valid_result"], "ndcg@3")
        assert score == trained["best_valid_score"]


def test_results_become_a_latex_table(shop):
    rows = [
        {"Model": model, **result["test_result"]} for model, result in shop[1].items()
    ]
    frame, _ = list_to_latex(rows)
    assert frame["Model"].tolist() == list(shop[1])
    rows = [{"Model": "A", "NDCG": 0.25}, {"Model": "B", "NDCG": 0.5}]
    _, tex = list_to_latex(rows, subset_columns=["NDCG"])
    assert r"A & 0.2500 \\" in tex and r"B & \bfseries 0.5000 \\" in tex
    _, tex = list_to_latex(rows, bigger_flag=False, subset_columns=["NDCG"])
    assert r"A & \bfseries 0.2500 \\" in tex


def test_flops_of_the_towers_are_those_of_their_layers(config):
    dataset = create_dataset(config)
    train, _, _ = data_preparation(config, dataset)
    model = get_model("WhisperLite")(config, train.dataset)
    transform = construct_transform(config)
    found = get_flops(model, dataset, config["device"], logging.getLogger(), transform)
    dim = model.requests.vectors.shape[1]
    [hidden], out = config["mlp_hidden_size"], config["embedding_size"]
    # a multiplication and addition for each weight, one row through both towers
    assert found == 2 * (dim * hidden + hidden * out)


def test_the_environment_is_a_table_without_a_gpu(config):
    lines = [
        line for line in get_environment(config).draw().splitlines() if "|" in line
    ]
    assert [line.split()[1] for line in lines] == [
        "Environment",
        "CPU",
        "GPU",
        "Memory",
    ]
    assert lines[2].split()[3:6] == ["0.0", "/", "0.0"]


def test_the_usage_of_a_gpu_is_shown_in_gigabytes(monkeypatch):
    memory = types.SimpleNamespace(total_memory=16 * 2**30)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 3 * 2**29)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    assert get_gpu_usage("cuda:0") == "1.50 G/16.00 G"


# --- utils: logs and files -----------------------------------------------------------


def test_colours_are_shown_and_not_written_to_the_log(config):
    assert set_color("best", "red") == "\033[1;31mbest\033[0m"
    logging.getLogger().handlers[:] = []
    init_logger(config)
    logging.getLogger().error(set_color("best", "red") + ": 1")
    for handler in logging.getLogger().handlers:
        handler.flush()
    [file] = Path("log/WhisperLite").glob("WhisperLite-tiny-*.log")
    assert file.read_text().endswith("ERROR  best: 1\n")


def test_weights_and_biases_gets_the_metrics_if_it_is_asked_for(config, monkeypatch):
    calls = []
    wandb = types.ModuleType("wandb")
    wandb.run = None

    def init(project, config):
        wandb.run = types.SimpleNamespace(summary={})
        calls.append(project)

    wandb.init = init
    wandb.log = lambda metrics, commit: calls.append(metrics)
    wandb.define_metric = lambda name, step_metric: None
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    WandbLogger(config).log_metrics({"ndcg@3": 0.5})
    assert calls == []
    monkeypatch.setitem(config.final_config_dict, "log_wandb", True)
    logger = WandbLogger(config)
    logger.log_metrics({"loss": 0.5, "train_step": 1})
    logger.log_eval_metrics({"ndcg@3": 0.5}, head="test")
    assert calls == [config["wandb_project"], {"train/loss": 0.5, "train_step": 1}]
    assert wandb.run.summary == {"test/ndcg@3": 0.5}


def test_a_dataset_is_downloaded_unpacked_and_renamed(tmp_path):
    remote = tmp_path / "remote"
    write_tiny(remote, name="theirs")
    with zipfile.ZipFile(remote / "theirs.zip", "w") as archive:
        for file in (remote / "theirs").glob("*"):
            archive.write(file, file.name)
    address = (remote / "theirs.zip").as_uri()
    assert url.decide_download(address)  # smaller than a gigabyte
    url.makedirs("here")
    url.makedirs("here")  # once more is no error
    file = url.download_url(address, "here")
    assert Path(file).read_bytes() == (remote / "theirs.zip").read_bytes()
    url.extract_zip(file, "here/shop")
    url.rename_atomic_files("here/shop", "theirs", "shop")
    assert sorted(os.listdir("here/shop")) == [
        "shop.inter",
        "shop.item",
        "shop.request",
    ]
    Config("WhisperLite", "shop", config_dict=settings("here"))
