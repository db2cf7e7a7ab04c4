r"""
TwoStage
################################################
Reference:
    Nogueira and Cho, "Passage Re-ranking with BERT." 2019.
"""

from pathlib import Path

import numpy as np
import torch

from recbole.config import Config

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.foreign_code import refuse_code_in
from recbole_whisperlite.model.inputs import stated_inputs
from recbole_whisperlite.model.names import find_model
from recbole_whisperlite.model.untrained import UntrainedRequestModel


class TwoStage(UntrainedRequestModel):
    r"""TwoStage finds candidates by a fast model and re-ranks them by a cross-encoder.

    The first stage is a model that is not trained by gradients; its settings are those of
    its own yaml file, overridden by those of the user. The cross-encoder reads request and
    item text together, and is used as it is. All other items come after the candidates, in
    the order of the first stage. Scores of pairs are kept in memory.

    Raises:
        UserError: If sentence-transformers is not installed, the cross-encoder cannot be
            loaded, or a setting is out of range.
    """

    @staticmethod
    def inputs(settings: dict) -> list[str]:
        first = stated_inputs(find_model(settings["first_stage"]), settings)
        return ["request", "item text", *(first or ())]

    def __init__(self, config, dataset):
        super(TwoStage, self).__init__(config, dataset)

        # load dataset info
        self.request_texts = dataset.request_texts
        self.item_texts = dataset.item_texts

        # load parameters info
        self.n_candidates = config["n_candidates"]
        name = config["first_stage"]
        first = find_model(name)

        # define layers; the cross-encoder is not in the state dict
        given = dict(config.external_config_dict)
        self.first = first(Config(name, config["dataset"], config_dict=given), dataset)
        self._cross_encoder = [load_cross_encoder(config)]  # a list: not a submodule
        self.batch_size = config["encode_batch_size"]
        self._known = {}

    def score_catalogue(self, request: torch.LongTensor) -> torch.FloatTensor:
        first = self.first.score_catalogue(request)
        new = [n for n, text in enumerate(request.tolist()) if text not in self._known]
        if new:
            self._rerank(request[new], first[new])
        known = [self._known[text] for text in request.tolist()]
        item = torch.from_numpy(np.stack([item for item, _ in known])).to(first.device)
        score = torch.from_numpy(np.stack([each for _, each in known])).to(first.device)
        # the best of the others is one below the worst of the candidates
        below = score.min(dim=1, keepdim=True).values - 1
        result = first - first[:, 1:].max(dim=1, keepdim=True).values + below
        return result.scatter_(1, item, score)

    def _rerank(self, request, first):
        r"""Keep the candidates of some requests with the scores of the cross-encoder."""
        n_candidates = min(self.n_candidates, self.n_items - 1)
        item = first[:, 1:].topk(n_candidates, dim=1).indices.cpu().numpy() + 1
        pairs = [
            (self.request_texts[text], self.item_texts[each])
            for text, row in zip(request.tolist(), item.tolist())
            for each in row
        ]
        score = self._cross_encoder[0].predict(
            pairs, batch_size=self.batch_size, show_progress_bar=False
        )
        score = np.asarray(score, dtype=np.float32)
        if score.shape != (len(pairs),):
            raise UserError(
                "The cross-encoder must give one score for a request and an item text; "
                f"that of cross_encoder gives {score.shape[-1]}."
            )
        for text, *kept in zip(request.tolist(), item, score.reshape(item.shape)):
            self._known[text] = kept

    def other_parameter(self) -> dict:
        return {"first": self.first.other_parameter()}

    def load_other_parameter(self, para: dict | None) -> None:
        self._known = {}
        if para:
            self.first.load_other_parameter(para["first"])


def load_cross_encoder(config: Config):
    r"""Load the model in the folder that ``cross_encoder`` names.

    Raises:
        UserError: If the library or the folder is not there, does not fit, or asks to run
            code of its own.
    """
    folder = config["cross_encoder"]
    if not folder or not Path(folder).expanduser().is_dir():
        found = f"{folder} is no folder" if folder else "it is not set"
        raise UserError(
            "TwoStage re-ranks by a cross-encoder that is on this machine: set "
            "cross_encoder to the folder of a model that sentence-transformers can load "
            f"({found})."
        )
    try:
        from sentence_transformers import CrossEncoder
    except ImportError:
        raise UserError(
            "TwoStage needs the library sentence-transformers: run pip install "
            "recbole-whisperlite[sentence_transformers]."
        ) from None
    path = Path(folder).expanduser()
    refuse_code_in(path)
    try:
        return CrossEncoder(str(path), device=str(config["device"]))
    except Exception as error:  # whatever the libraries below raise
        raise UserError(
            f"cross_encoder: sentence-transformers cannot load {folder}: "
            f"{' '.join(str(error).split())}"
        ) from error
