"""Between text and token ids: encoding of prompts, decoding of continuations, stop markers, end-of-sequence tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from rstar_math.errors import EngineError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TokenCodec:
    """A tokenizer as the engines use it.

    Prompts get the special tokens that the tokenizer puts in front (a beginning-of-sequence token where the model has
    one) and none behind them.

    Attributes:
      end_ids: tokens that end a sequence and belong to no text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase | Tokenizer,
        end_ids: Iterable[int] = (),
        eos_token_id: int | None = None,
    ) -> None:
        """Makes a codec.

        Args:
          tokenizer: of transformers, or the bare one of a `tokenizer.json`.
          end_ids: tokens that end a sequence, beside those that a tokenizer of transformers names.
          eos_token_id: the end of sequence of a bare tokenizer.
        """
        known = {*end_ids}
        if isinstance(tokenizer, Tokenizer):
            self._tokenizer: PreTrainedTokenizerBase | None = None
            self._backend: Tokenizer | None = tokenizer
            self._eos_id = eos_token_id
        else:
            from transformers import PreTrainedTokenizerFast

            self._tokenizer = tokenizer
            # the backend's own calls, because the Python wrapper takes ten times as long; and one text at a time,
            # because its batch calls start threads, which cost more than such short texts (1.4 ms a call)
            self._backend = tokenizer.backend_tokenizer if isinstance(tokenizer, PreTrainedTokenizerFast) else None
            self._eos_id = tokenizer.eos_token_id
            known |= {tokenizer.eos_token_id, tokenizer.pad_token_id}
        self.end_ids = frozenset(int(token) for token in known if token is not None)

    @classmethod
    def for_model(cls, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> TokenCodec:
        """The codec of a model: also takes the end tokens that its configuration names."""
        configs = (model.config, getattr(model, "generation_config", None))
        return cls(tokenizer, _ends(getattr(config, "eos_token_id", None) for config in configs))

    @classmethod
    def for_tokenizer(
        cls,
        tokenizer: Tokenizer,
        eos_token_id: int | None,
        pad_token_id: int | None,
        configs: Iterable[Mapping[str, Any]],
    ) -> TokenCodec:
        """The same of a bare tokenizer and the contents of a model's configuration files."""
        own = {token for token in (eos_token_id, pad_token_id) if token is not None}
        return cls(tokenizer, own | _ends(config.get("eos_token_id") for config in configs), eos_token_id)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text.

        Raises:
          EngineError: a text is not valid Unicode.
        """
        try:
            if self._backend is None:
                assert self._tokenizer is not None
                return [self._without_end(self._tokenizer(text)["input_ids"]) for text in texts]
            return [self._without_end(self._backend.encode(text).ids) for text in texts]
        except (UnicodeError, TypeError) as error:
            if all(map(_is_unicode, texts)):
                raise
            raise EngineError(
                "a text holds half a surrogate pair, which is no character, and cannot be read"
            ) from error

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of tokens, special ones included."""
        return self._decode([list(token_ids)])[0]

    def decode_continuations(self, last_token: int, continuations: Sequence[Sequence[int]]) -> list[str]:
        """Text of tokens that follow a text ending in `last_token`, special tokens included.

        Decoded behind that token and without it: some tokenizers drop the space at the start of what they decode.
        """
        head, *whole = self._decode([[last_token], *([last_token, *tokens] for tokens in continuations)])
        return [text[len(head) :] for text in whole]

    def marker_ids(self, markers: Iterable[str]) -> dict[str, int]:
        """Those markers that are one token of the vocabulary, with their ids."""
        tokenizer = self._tokenizer or self._backend
        assert tokenizer is not None
        vocabulary = tokenizer.get_vocab()
        return {marker: vocabulary[marker] for marker in markers if marker in vocabulary}

    def added_tokens(self) -> frozenset[str]:
        """Texts that the tokenizer always takes as one token, whatever stands around them."""
        if self._tokenizer is not None:
            return frozenset(self._tokenizer.get_added_vocab())
        assert self._backend is not None
        return frozenset(token.content for token in self._backend.get_added_tokens_decoder().values())

    def _decode(self, ids: list[list[int]]) -> list[str]:
        if self._backend is None:
            assert self._tokenizer is not None
            return [
                str(self._tokenizer.decode(row, skip_special_tokens=False, clean_up_tokenization_spaces=False))
                for row in ids
            ]
        return [self._backend.decode(row, skip_special_tokens=False) for row in ids]

    def _without_end(self, ids: list[int]) -> list[int]:
        while ids and ids[-1] == self._eos_id:  # T5-like tokenizers close every text
            ids = ids[:-1]
        return ids


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ends(values: Iterable[int | list[int] | tuple[int, ...] | None]) -> set[int]:
    """End tokens as configurations name them: one, several, or none."""
    ends: set[int] = set()
    for value in values:
        ends.update(value if isinstance(value, (list, tuple)) else () if value is None else (value,))
    return ends
