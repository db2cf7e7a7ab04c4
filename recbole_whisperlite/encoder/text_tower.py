"""The text tower of a CLIP model, run only up to the end of the texts."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from recbole_whisperlite.encoder.packed import is_packed, pack, run_at

# A step's activations should fit in the CPU's caches: with 256 texts at once most of the
# time goes into fetching them from memory.
_CPU_TOKENS_A_STEP = 512
_TEXTS_A_TOKENIZER_CALL = 1024
# Of many texts, those of one batch are about equally long anyway.
_FEW_TEXTS = 128
# Padding that costs less than the start of another batch.
_CHEAP_PADDING = 64  # tokens
# oneDNN keeps what it prepares for a shape, so that many shapes take much memory.
_LENGTH_STEP = 8  # tokens


class TextTower:
    """Text vectors of an open_clip model, as ``encode_text`` gives them, but faster.

    CLIP's text tower is causal and pools at the end token: no later token has any
    influence. Batches are therefore made of texts of similar length, the longest first
    so that memory peaks at the start, and each is cut to its longest text. Towers of
    other kinds (SigLIP, CoCa, Hugging Face models) run at full length.

    Args:
        model (torch.nn.Module): From ``open_clip.create_model``. It is moved to
            ``device`` and set to evaluation mode.
        tokenizer (callable): From ``open_clip.get_tokenizer``, for the same model.
        device (str or torch.device): Where to run.
        progress (callable): ``progress(total, description)`` returns a progress bar.
        packed (bool): Whether, on a CPU, layers of the text tower are replaced by faster
            ones, which cannot be trained.

    Attributes:
        stops_at_end (bool): Whether tokens after the end token can be left out.
        context_length (int): The maximum number of tokens, start and end included.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: Callable[..., torch.Tensor],
        device: str | torch.device,
        progress: Callable[[int, str], tqdm],
        packed: bool = True,
    ):
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self.context_length = tokenizer.context_length
        self.progress = progress
        # CustomTextCLIP and CoCa have the tower as .text, CLIP has its parts inline.
        inlined = not hasattr(model, "text")
        self._text = model if inlined else model.text
        prefix = "text_" if inlined else ""
        self._pool_type = getattr(self._text, prefix + "pool_type", None)
        self._end_token = getattr(self._text, prefix + "eos_id", None)
        if packed and self.device.type == "cpu":
            pack(self._text.transformer)
        self.stops_at_end = self._can_stop_at_end()
        self._last_read = (None, None, None)
        empty = tokenizer([""])[0].tolist()
        # A few tokenizers append a class token to every text, after the padding.
        self._pads_at_end = empty[-1] == empty[-2]
        self._padding = empty[-1]
        # Where texts are padded with the end token, the end token looks like padding.
        cut = tokenizer(["a " * self.context_length])[0].tolist()
        self._hidden = int(cut[-1] == self._padding)

    def _can_stop_at_end(self):
        mask = getattr(self._text, "attn_mask", None)
        if mask is None or getattr(self._text, "cls_emb", None) is not None:
            return False
        later = torch.ones_like(mask, dtype=torch.bool).triu(1)
        if not mask[later].isneginf().all():
            return False
        if self._pool_type not in ("argmax", "eos"):
            return False
        # Verified, because another release of open_clip may compute something else.
        tokens = self.tokenizer(["a"])
        return torch.allclose(
            self._run_to_end(tokens[:, : self.ends(tokens).max()]),
            self._run_whole(tokens),
            atol=1e-4,
        )

    def count_tokens(self, texts: list[str]) -> np.ndarray:
        """Return the token counts of ``texts``, start and end token included.

        Returns:
            numpy.ndarray: int64 ``[len(texts)]``; not capped at the context length.
        """
        return self._read(texts)[1]

    def encode(self, texts: list[str], batch_size: int) -> np.ndarray:
        """Return the vectors of ``texts``, cut at the context length.

        Args:
            texts (list of str): The texts.
            batch_size (int): The maximum number of texts at once.

        Returns:
            numpy.ndarray: float32 ``[len(texts), dim]``, rows of length 1.
        """
        tokens = self._read(texts)[0]
        ends = torch.full((len(texts),), tokens.shape[1])
        run = self._run_whole
        if self.stops_at_end:
            ends, run = self.ends(tokens), self._run_to_end
            if len(texts) <= _FEW_TEXTS:
                ends = _stepped(ends, tokens.shape[1])
        batches = list(self._batches(ends, batch_size))
        results = self._map(lambda batch: run(tokens[batch, : ends[batch[0]]]), batches)
        vectors = None
        with self.progress(len(texts), "encode texts") as bar:
            for result, batch in zip(results, batches):
                if vectors is None:
                    vectors = np.empty((len(texts), result.shape[1]), dtype=np.float32)
                vectors[batch.numpy()] = result.float().numpy()
                bar.update(len(batch))
        return vectors

    def shards(self, texts: list[str], batch_size: int, size: int) -> list[np.ndarray]:
        """Return parts of ``texts`` in which :meth:`encode` makes the same batches.

        What a text is padded to, and in how large a batch it is, changes its vector in the
        last digits.

        Args:
            texts (list of str): The texts.
            batch_size (int): As for :meth:`encode`.
            size (int): How many texts a part has at least, if there are as many.

        Returns:
            list of numpy.ndarray: Indices into ``texts``, int64 ``[n]`` each.
        """
        tokens = self._read(texts)[0]
        ends = torch.full((len(texts),), tokens.shape[1])
        if self.stops_at_end:
            ends = self.ends(tokens)
        parts = [[]]
        for batch in self._batches(ends, batch_size):
            if len(parts[-1]) >= size:
                parts.append([])
            parts[-1].extend(batch.tolist())
        if len(parts) > 1 and len(parts[-1]) < size:
            parts[-2].extend(parts.pop())
        return [np.array(part) for part in parts]

    def _batches(self, ends, batch_size):
        """Yield int64 tensors of indices into ``ends``, the longest texts first."""
        order = torch.argsort(ends, descending=True, stable=True)
        start = 0
        while start < len(order):
            size = batch_size
            if self.device.type == "cpu":
                fair = -(-len(order) // torch.get_num_threads())
                step = _CPU_TOKENS_A_STEP // int(ends[order[start]])
                size = min(size, fair, max(1, step))
                if len(order) <= _FEW_TEXTS:
                    size = _of_similar_length(ends[order[start : start + size]])
            yield order[start : start + size]
            start += size

    def _map(self, run, batches):
        """Yield ``run(batch)`` for every batch, in order.

        On a CPU each thread runs separate batches: threads that share a batch wait for
        each other at every layer, for long where the machine is busy.
        """
        threads = torch.get_num_threads()
        if self.device.type != "cpu" or threads == 1:
            yield from map(run, batches)
            return
        torch.set_num_threads(1)
        pool = ThreadPoolExecutor(threads, "encoder", torch.set_num_threads, (1,))
        try:
            yield from pool.map(run, batches)
        finally:
            # When interrupted, only the batches in progress are finished.
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def _run_whole(self, tokens):
        tokens = tokens.long().to(self.device)
        return self.model.encode_text(tokens, normalize=True).cpu()

    @torch.inference_mode()
    def _run_to_end(self, tokens):
        return self.embed_to_end(tokens.long().to(self.device)).cpu()

    def embed_to_end(self, tokens: torch.Tensor) -> torch.Tensor:
        """Do what ``encode_text`` does, with positions and mask cut to these tokens.

        Where :attr:`stops_at_end` is set, the result and its gradients are the same.

        Args:
            tokens (torch.Tensor): int64 ``[n, length]`` on :attr:`device`, including
                every text's end token.

        Returns:
            torch.Tensor: float ``[n, dim]``, rows of length 1.
        """
        text, length = self._text, tokens.shape[1]
        x = text.token_embedding(tokens) + text.positional_embedding[:length]
        mask, last = text.attn_mask[:length, :length], self.ends(tokens) - 1
        blocks = getattr(text.transformer, "resblocks", ())
        if blocks and all(map(is_packed, blocks)):
            for block in blocks[:-1]:
                x = block(x, attn_mask=mask)
            x = run_at(blocks[-1], x, last)
        else:
            x = text.transformer(x, attn_mask=mask)
            x = x[torch.arange(len(x), device=x.device), last]
        x = text.ln_final(x)
        if isinstance(text.text_projection, torch.nn.Linear):
            x = text.text_projection(x)
        elif text.text_projection is not None:
            x = x @ text.text_projection
        return functional.normalize(x, dim=-1)

    def ends(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return each text's length up to its end token, where its vector is taken.

        Args:
            tokens (torch.Tensor): int ``[n, length]``.

        Returns:
            torch.Tensor: int64 ``[n]``, end token included.
        """
        if self._pool_type == "eos":
            tokens = (tokens == self._end_token).int()
        return tokens.argmax(dim=1) + 1

    def _read(self, texts):
        """Tokenize; the last list is remembered, for it is counted, then encoded.

        Returns:
            tuple: int32 ``[len(texts), context_length]`` and int64 ``[len(texts)]``.
        """
        if self._last_read[0] is not texts:
            tokens, counts = [], []
            with self.progress(len(texts), "tokenize texts") as bar:
                for start in range(0, len(texts), _TEXTS_A_TOKENIZER_CALL):
                    batch = texts[start : start + _TEXTS_A_TOKENIZER_CALL]
                    tokens.append(self.tokenizer(batch).int())
                    counts.append(self._count(batch, tokens[-1]))
                    bar.update(len(batch))
            self._last_read = (texts, torch.cat(tokens), np.concatenate(counts))
        return self._last_read[1:]

    def _count(self, texts, tokens):
        counts = self._filled(tokens)
        for row in np.flatnonzero(counts == self.context_length):
            # A token covers at least one byte. What the tokenizer's own cleaning may add
            # to a text is less than its length.
            room = 2 * len(texts[row].encode()) + self.context_length
            counts[row] = self._filled(self.tokenizer([texts[row]], room))[0]
        return counts

    def _filled(self, tokens):
        if not self._pads_at_end:
            return np.zeros(len(tokens), dtype=np.int64)
        position = torch.arange(1, tokens.shape[1] + 1)
        return ((tokens != self._padding) * position).amax(dim=1).numpy() + self._hidden


def _of_similar_length(ends):
    """Return how many of these texts, the longest first, are worth a batch.

    Args:
        ends (torch.Tensor): int64 ``[n]``, their lengths, falling.
    """
    padding = (ends[0] - ends).cumsum(0)
    return max(1, int((padding <= _CHEAP_PADDING).sum()))


def _stepped(ends, most):
    """Return lengths, int64 ``[n]``, rounded up to one of few."""
    return (-(-ends // _LENGTH_STEP) * _LENGTH_STEP).clamp(max=most)
