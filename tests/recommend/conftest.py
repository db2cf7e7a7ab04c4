import pytest

from trained_shop import train


@pytest.fixture(scope="session")
def shop_model(tmp_path_factory):
    """The folder of an exported WhisperLitePlus, whose scores have several parts."""
    return train("WhisperLitePlus", tmp_path_factory.mktemp("shop")).model


@pytest.fixture
def ask(shop_model, capsys):
    """Return a function (arguments…) -> status, stdout, stderr of ``recommend``."""
    from recbole_whisperlite.cli import main

    def run(*arguments):
        status = main(["recommend", "--model", str(shop_model), *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture(scope="session")
def shop(shop_model):
    from recbole_whisperlite.recommend.recommender import Recommender

    return Recommender.load(shop_model)
