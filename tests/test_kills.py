"""That the measurement of docs/reliability.md still measures; a few moments of each kind
that is quick."""

import pytest

import kills


@pytest.mark.parametrize("job", ["prepare", "encode"])
def test_a_process_that_is_killed_does_no_harm(job, capsys):
    assert kills.measure(job, times=3, seed=1) == 0
    assert f"{job}, about" in capsys.readouterr().out


def test_harm_is_found(capsys, monkeypatch):
    def run(self, folder):
        path = folder / "data" / "films" / "films.inter"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with open(path, "w") as file:
            for line in range(200_000):
                print(line, file=file, flush=True)

    monkeypatch.setattr(kills.Preparing, "run", run)
    assert kills.measure("prepare", times=3, seed=1) > 0
    assert "the dataset is neither the old one nor the new one" in str(
        capsys.readouterr()
    )
