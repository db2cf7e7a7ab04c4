import pytest
import torch
from recbole.utils import get_model, init_seed

from recbole_whisperlite.export.model import export_model
from recbole_whisperlite.recommend.recommender import Recommender

from exported_shop import write_shop


@pytest.fixture
def shop_data(tmp_path):
    return write_shop(tmp_path / "data")


@pytest.fixture
def exported(prepare, shop_data, tmp_path):
    """Return a function (model, settings…) -> RecBole's model, test loader, Recommender.

    The model is not trained, but its weights are not those of the start either.
    """

    def make(name, with_users=True, **settings):
        settings = {"encoder": "tfidf", "encoder_dim": 16, **settings}
        config, _, (train_data, _, test_data) = prepare(
            name, shop_data, dataset="shop", **settings
        )
        init_seed(1, True)
        model = get_model(name)(config, train_data._dataset)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        if name == "LateFusion":
            model.weight.copy_(torch.tensor([0.5, 0.3, 0.2]))
        folder = tmp_path / f"{name}-model"
        metrics = {"ndcg@10": 0.5}
        export_model(config, model, test_data, metrics, metrics, folder, with_users)
        return model, test_data, Recommender.load(folder)

    return make
