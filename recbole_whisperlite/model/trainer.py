r"""
recbole_whisperlite.model.trainer
#################################
The trainers of WhisperLite, LateFusion and LinearFusion
"""

import os

import numpy as np
import torch
import torch.distributed as dist
from tqdm import tqdm

from recbole.data.dataloader import AbstractDataLoader, FullSortEvalDataLoader
from recbole.data.utils import create_samplers, get_dataloader
from recbole.evaluator import Evaluator
from recbole.trainer import Trainer
from recbole.trainer.trainer import TraditionalTrainer
from recbole.utils import (
    ModelType,
    calculate_valid_score,
    get_trainer,
    init_seed,
    set_color,
)

from recbole_whisperlite.compat.checkpoint import load_checkpoint
from recbole_whisperlite.compat.saved_data import of_one_process, save_checkpoint
from recbole_whisperlite.evaluation.violation import RequestCollector
from recbole_whisperlite.model.fitting import fit_weights
from recbole_whisperlite.model.latefusion import weight_grid
from recbole_whisperlite.model.processes import SharedLoss, of_whole_batches
from recbole_whisperlite.model.whisperlite import WhisperLite


class WhisperLiteTrainer(Trainer):
    r"""WhisperLiteTrainer makes the randomness of an epoch depend on seed and epoch alone.

    RecBole's checkpoints do not hold the state of the random number generators, so a
    resumed run shuffles, samples negatives and drops out differently from the run that it
    continues. Here every epoch starts from generators seeded with (seed, epoch): a resumed
    run gives the same metrics as an uninterrupted one.

    Several processes share each batch (:mod:`recbole_whisperlite.model.processes`), so
    that their losses are those of one process. A model of your own that has another
    ``calculate_loss`` is trained as RecBole does it: each process has a loss of its own
    rows.
    """

    def __init__(self, config, model):
        super().__init__(config, model)
        own = type(model).calculate_loss is not WhisperLite.calculate_loss
        self.shares_batches = not (config["single_spec"] or own)
        if not config["single_spec"]:
            # what does not learn is the same everywhere, and large
            self.distributed_model.broadcast_buffers = False

    def _train_epoch(self, train_data, epoch_idx, loss_func=None, show_progress=False):
        # SeedSequence mixes the numbers: epoch 1 of seed 2020 has nothing in common with
        # epoch 0 of seed 2021.
        process = 0 if self.shares_batches else self.config["local_rank"] or 0
        entropy = [self.config["seed"], epoch_idx, process]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        init_seed(seed, self.config["reproducibility"])
        train_data.generator.manual_seed(seed)  # for shuffling
        if self.shares_batches:
            loss_func = SharedLoss(self.model, entropy)
        return super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)

    def fit(
        self,
        train_data: AbstractDataLoader,
        valid_data: AbstractDataLoader | None = None,
        *args,
        **kwargs,
    ) -> tuple[float | None, dict | None]:
        _refuse_counts_of_other_data(self.config)
        # A checkpoint holds the best score but not the other metrics of that epoch, which
        # are returned if no later epoch is better.
        if self.start_epoch > 0 and valid_data:
            self.eval_collector.data_collect(train_data)
            _, self.best_valid_result = self._valid_epoch(valid_data)
        if self.shares_batches:
            train_data = of_whole_batches(train_data)
        return super().fit(train_data, valid_data, *args, **kwargs)


class WhisperLitePlusTrainer(WhisperLiteTrainer):
    r"""WhisperLitePlusTrainer fits the weights of the terms on validation after training.

    The best epoch is chosen with the trained weights; ``fit_queries`` validation queries
    then say how much each term counts in evaluation. Without validation data or with
    sampled candidates the trained weights stay. Of several processes the first one fits,
    and the others take its weights.
    """

    def _build_optimizer(self, **kwargs):
        groups = self.model.parameter_groups(self.learning_rate)
        groups = [each for each in groups if each["params"]]
        if self.learner.lower() in ("adam", "adamw"):
            # a step reads and writes large tables once, not seven times
            groups = [{**each, "fused": True} for each in groups]
        kwargs.setdefault("params", groups)
        return super()._build_optimizer(**kwargs)

    def fit(
        self,
        train_data: AbstractDataLoader,
        valid_data: AbstractDataLoader | None = None,
        verbose: bool = True,
        saved: bool = True,
        *args,
        **kwargs,
    ) -> tuple[float | None, dict | None]:
        self.model.fitted_weight.fill_(torch.nan)
        result = super().fit(train_data, valid_data, verbose, saved, *args, **kwargs)
        n_queries = self.config["fit_queries"]
        if not n_queries:
            return result
        if not isinstance(valid_data, FullSortEvalDataLoader) or not len(valid_data):
            return result
        several = not self.config["single_spec"]
        if saved:
            if several:
                dist.barrier()  # the first process may still be writing the file
            checkpoint = load_checkpoint(self.saved_model_file, self.device)
            self.model.load_state_dict(checkpoint["state_dict"])
        if not several or dist.get_rank() == 0:
            weights = fit_weights(self.model, valid_data, n_queries)
            told = ", ".join(f"{name} {value:.2f}" for name, value in weights.items())
            self.logger.info(set_color(f"Weights fitted on validation: {told}", "pink"))
        if several:
            dist.broadcast(self.model.fitted_weight, src=0)
        if saved and not self.config["local_rank"]:
            with of_one_process(self.config):
                state = self.model.state_dict()
                checkpoint |= {"state_dict": state, "config": self.config}
                save_checkpoint(checkpoint, self.saved_model_file, pickle_protocol=4)
        return result


class LateFusionTrainer(TraditionalTrainer):
    r"""LateFusionTrainer trains the parts of LateFusion, then chooses their weights.

    Each part is trained by its own trainer with its own negatives, and keeps its best epoch
    on validation. The weights are those on a grid with the best ``valid_metric``, and among
    equally good ones the most even; without validation data all weights are equal.
    """

    def fit(
        self,
        train_data: AbstractDataLoader,
        valid_data: AbstractDataLoader | None = None,
        *args,
        **kwargs,
    ) -> tuple[float | None, dict | None]:
        _refuse_counts_of_other_data(self.config)
        if self.start_epoch < self.epochs:  # otherwise a finished run was resumed
            for name, part in self.model.parts.items():
                self._fit_part(name, part, train_data._dataset, valid_data, **kwargs)
            if valid_data:
                self.model.weight.copy_(
                    self._best_weight(train_data, valid_data, **kwargs)
                )
        return super().fit(train_data, valid_data, *args, **kwargs)

    def _fit_part(self, name, part, dataset, valid_data, show_progress=False, **_):
        self.logger.info(set_color(f"LateFusion: {name}", "pink"))
        config = self.model.part_config[name]
        config["log_wandb"] = False  # there, a run is of the whole
        # only the training sampler is used, which looks at the first dataset only
        sampler, _, _ = create_samplers(config, dataset, [dataset] * 3)
        train_data = get_dataloader(config, "train")(
            config, dataset, sampler, shuffle=config["shuffle"]
        )
        trainer = get_trainer(config["MODEL_TYPE"], name)(config, part)
        trainer.saved_model_file = f"{self.saved_model_file}.{name}"
        # models that are ready after one epoch have no best epoch to return to
        saved = bool(valid_data) and config["MODEL_TYPE"] != ModelType.TRADITIONAL
        trainer.fit(train_data, valid_data, saved=saved, show_progress=show_progress)
        if saved:
            trainer.resume_checkpoint(trainer.saved_model_file)
            os.remove(trainer.saved_model_file)

    @torch.no_grad()
    def _best_weight(self, train_data, valid_data, show_progress=False, **_):
        grid = weight_grid(len(self.model.parts), self.model.grid).to(self.device)
        # all weights in one pass over the data: scoring with the parts is what takes time
        collectors = [RequestCollector(self.config) for _ in grid]
        for collector in collectors:
            collector.data_collect(train_data)
        self.model.eval()
        score = self._neg_sample_batch_eval
        if isinstance(valid_data, FullSortEvalDataLoader):
            score = self._full_sort_batch_eval
            self.item_tensor = valid_data._dataset.get_item_feature().to(self.device)
        self.tot_item_num = valid_data._dataset.item_num
        batches = tqdm(
            valid_data,
            ncols=100,
            desc=set_color("Fusion weights", "pink"),
            disable=not show_progress,
        )
        for batch in batches:
            part_scores = []
            for one_hot in torch.eye(len(self.model.parts), device=self.device):
                self.model.weight.copy_(one_hot)
                interaction, scores, *positive = score(batch)
                part_scores.append(scores)
            part_scores = torch.stack(part_scores)
            excluded = part_scores[0].isneginf()
            part_scores.masked_fill_(excluded, 0)
            for weight, collector in zip(grid, collectors):
                fused = torch.tensordot(weight, part_scores, 1)
                fused.masked_fill_(excluded, -torch.inf)
                collector.eval_batch_collect(fused, interaction, *positive)
        evaluator = Evaluator(self.config)
        results = [evaluator.evaluate(each.get_data_struct()) for each in collectors]
        scores = [calculate_valid_score(each, self.valid_metric) for each in results]
        choose = np.argmax if self.valid_metric_bigger else np.argmin
        best = grid[int(choose(scores))]
        weights = ", ".join(
            f"{name} {weight:.2f}" for name, weight in zip(self.model.parts, best)
        )
        self.logger.info(set_color(f"LateFusion weights: {weights}", "pink"))
        return best


class LinearFusionTrainer(TraditionalTrainer):
    r"""LinearFusionTrainer fits the weights of LinearFusion on the validation queries."""

    def fit(
        self,
        train_data: AbstractDataLoader,
        valid_data: AbstractDataLoader | None = None,
        *args,
        **kwargs,
    ) -> tuple[float | None, dict | None]:
        _refuse_counts_of_other_data(self.config)
        if self.start_epoch < self.epochs:  # otherwise a finished run was resumed
            if valid_data and len(valid_data.queries):
                self.model.fit_weights(valid_data.queries, valid_data.query_feat)
            else:
                self.logger.warning(
                    f"{type(self.model).__name__} fits its weights on validation, of "
                    "which there is none: they stay as they are by default."
                )
        return super().fit(train_data, valid_data, *args, **kwargs)


def _refuse_counts_of_other_data(config):
    record = getattr(config, "trained_on", None)
    if record is not None:
        record.refuse_more_training()
