"""Between text and token ids: encoding of prompts, decoding of continuations, stop markers, end-of-sequence tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast


class TokenCodec:
    """A tokenizer as the engines use it.

    Prompts get the special tokens that the tokenizer puts in front (a beginning-of-sequence token where the model has
    one) and none behind them.

    Attributes:
      tokenizer: the tokenizer.
      end_ids: tokens that end a sequence and belong to no text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_ids: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        known = {*end_ids, tokenizer.eos_token_id, tokenizer.pad_token_id}
        self.end_ids = frozenset(int(token) for token in known if token is not None)
        # the backend's own calls, because the Python wrapper takes ten times as long; and one text at a time, because
        # its batch calls start threads, which cost more than such short texts (1.4 ms a call)
        self._backend = tokenizer.backend_tokenizer if isinstance(tokenizer, PreTrainedTokenizerFast) else None

    @classmethod
    def for_model(cls, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> TokenCodec:
        """The codec of a model: also takes the end tokens that its configuration names."""
        ends: set[int] = set()
        for config in (model.config, getattr(model, "generation_config", None)):
            value = getattr(config, "eos_token_id", None)
            ends.update(value if isinstance(value, (list, tuple)) else () if value is None else (value,))
        return cls(tokenizer, ends)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text."""
        if self._backend is None:
            return [self._without_end(self.tokenizer(text)["input_ids"]) for text in texts]
        return [self._without_end(self._backend.encode(text).ids) for text in texts]

    def decode_continuations(self, last_token: int, continuations: Sequence[Sequence[int]]) -> list[str]:
        """Text of tokens that follow a text ending in `last_token`, special tokens included.

        Decoded behind that token and without it: some tokenizers drop the space at the start of what they decode.
        """
        head, *whole = self._decode([[last_token], *([last_token, *tokens] for tokens in continuations)])
        return [text[len(head) :] for text in whole]

    def marker_ids(self, markers: Iterable[str]) -> dict[str, int]:
        """Those markers that are one token of the vocabulary, with their ids."""
        vocabulary = self.tokenizer.get_vocab()
        return {marker: vocabulary[marker] for marker in markers if marker in vocabulary}

    def added_tokens(self) -> frozenset[str]:
        """Texts that the tokenizer always takes as one token, whatever stands around them."""
        return frozenset(self.tokenizer.get_added_vocab())

    def _decode(self, ids: list[list[int]]) -> list[str]:
        if self._backend is None:
            return [
                str(self.tokenizer.decode(row, skip_special_tokens=False, clean_up_tokenization_spaces=False))
                for row in ids
            ]
        return [self._backend.decode(row, skip_special_tokens=False) for row in ids]

    def _without_end(self, ids: list[int]) -> list[int]:
        while ids and ids[-1] == self.tokenizer.eos_token_id:  # T5-like tokenizers close every text
            ids = ids[:-1]
        return ids
