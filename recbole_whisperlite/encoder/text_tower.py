"""The text tower of a CLIP model, run only as far as the texts reach."""

import numpy as np
import torch
from torch.nn import functional

# On a CPU a step's activations should stay in its caches: with 256 texts at once most
# of the time goes into fetching them from memory.
_CPU_TOKENS_A_STEP = 1024
_TEXTS_A_TOKENIZER_CALL = 1024


class TextTower:
    """Text vectors of an open_clip model, as ``encode_text`` gives them, but faster.

    CLIP's text tower is causal and pools at the end token: no token behind that one has
    any influence. Batches are therefore made of texts of similar length, the longest
    first so that memory peaks at the start, and each is cut to its longest text. Towers
    built otherwise (SigLIP, CoCa, Hugging Face models) run at full length.

    Args:
        model (torch.nn.Module): From ``open_clip.create_model``. It is moved to
            ``device``, and on a CPU layers of its text tower are replaced by faster
            ones that cannot be trained.
        tokenizer (callable): From ``open_clip.get_tokenizer``, for the same model.
        device (str or torch.device): Where to run.
        progress (callable): ``progress(total, description)`` returns a progress bar.
    """

    def __init__(self, model, tokenizer, device, progress):
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self.context_length = tokenizer.context_length
        self.progress = progress
        # CustomTextCLIP and CoCa hold the tower as .text, CLIP holds its parts itself.
        self._inlined = not hasattr(model, "text")
        self._text = model if self._inlined else model.text
        prefix = "text_" if self._inlined else ""
        self._pool_type = getattr(self._text, prefix + "pool_type", None)
        self._end_token = getattr(self._text, prefix + "eos_id", None)
        self.stops_at_end = self._is_causal() and self._pool_type in ("argmax", "eos")
        if self.device.type == "cpu" and torch.backends.mkldnn.is_available():
            self._pack()
        self._last_read = (None, None, None)
        empty = tokenizer([""])[0].tolist()
        # A few tokenizers end every text with a class token, however short it is.
        self._pads_at_end = empty[-1] == empty[-2]
        self._padding = empty[-1]
        # Where padding is the end token, the end of a text cannot be seen from behind.
        cut = tokenizer(["a " * self.context_length])[0].tolist()
        self._hidden = int(cut[-1] == self._padding)

    def _is_causal(self):
        mask = getattr(self._text, "attn_mask", None)
        if mask is None or getattr(self._text, "cls_emb", None) is not None:
            return False
        later = torch.ones_like(mask, dtype=torch.bool).triu(1)
        return bool(mask[later].isneginf().all())

    def _pack(self):
        for block in getattr(self._text.transformer, "resblocks", ()):
            for name, layer in block.mlp.named_children():
                if isinstance(layer, torch.nn.Linear):
                    setattr(block.mlp, name, _PackedLinear(layer))

    def count_tokens(self, texts):
        """Return the numbers of tokens of ``texts``, start and end token included.

        Returns:
            numpy.ndarray: int64 ``[len(texts)]``; not cut at the context length.
        """
        return self._read(texts)[1]

    @torch.inference_mode()
    def encode(self, texts, batch_size):
        """Return the vectors of ``texts``, cut at the context length.

        Args:
            texts (list of str): The texts.
            batch_size (int): The most texts at once.

        Returns:
            numpy.ndarray: float32 ``[len(texts), dim]``, rows of length 1.
        """
        tokens = self._read(texts)[0]
        lengths = self._lengths(tokens)
        order = torch.argsort(lengths, descending=True, stable=True)
        vectors = None
        start = 0
        with self.progress(len(texts), "encode texts") as bar:
            while start < len(texts):
                longest = int(lengths[order[start]])
                size = batch_size
                if self.device.type == "cpu":
                    size = min(size, max(1, _CPU_TOKENS_A_STEP // longest))
                batch = order[start : start + size]
                result = self._run(tokens[batch, :longest].long().to(self.device))
                if vectors is None:
                    vectors = np.empty((len(texts), result.shape[1]), dtype=np.float32)
                vectors[batch.numpy()] = result.float().cpu().numpy()
                start += len(batch)
                bar.update(len(batch))
        return vectors

    def _lengths(self, tokens):
        """Return how many tokens of each text its vector depends on."""
        if not self.stops_at_end:
            return torch.full((len(tokens),), tokens.shape[1])
        if self._pool_type == "eos":
            tokens = (tokens == self._end_token).int()
        return tokens.argmax(dim=1) + 1

    def _run(self, tokens):
        if not self.stops_at_end:
            return self.model.encode_text(tokens, normalize=True)
        # The model's own forward, with the two tensors that fix its length cut to ours.
        length = tokens.shape[1]
        prefix = "" if self._inlined else "text."
        cut = {
            f"{prefix}positional_embedding": self._text.positional_embedding[:length],
            f"{prefix}attn_mask": self._text.attn_mask[:length, :length],
        }
        output = torch.func.functional_call(self.model, cut, (), {"text": tokens})
        return output["text_features"] if isinstance(output, dict) else output[1]

    def _read(self, texts):
        """Tokenize; the last list is remembered, it is counted first and encoded then.

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
        for place in np.flatnonzero(counts == self.context_length):
            # A token stands for a byte at least. What the tokenizer's own cleaning may
            # add to a text is less than its length.
            room = 2 * len(texts[place].encode()) + self.context_length
            counts[place] = self._filled(self.tokenizer([texts[place]], room))[0]
        return counts

    def _filled(self, tokens):
        if not self._pads_at_end:
            return np.zeros(len(tokens), dtype=np.int64)
        place = torch.arange(1, tokens.shape[1] + 1)
        return ((tokens != self._padding) * place).amax(dim=1).numpy() + self._hidden


class _PackedLinear(torch.nn.Module):
    """A linear layer by oneDNN, whose weight is packed once.

    PyTorch multiplies float32 matrices on a CPU with another library, which is far
    slower on some processors; the results are the same but for rounding.
    """

    def __init__(self, linear):
        super().__init__()
        self.weight = linear.weight.detach().to_mkldnn()
        self.bias = linear.bias.detach().to_mkldnn()

    def forward(self, x):
        return functional.linear(x.to_mkldnn(), self.weight, self.bias).to_dense()
