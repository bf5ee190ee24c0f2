"""What models are trained on: solutions, with the tokens that a policy is to write (rStar-Math, section 3.4), and texts
whose score is to be learned.

The prompt and the executor's output are read, never imitated. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from rstar_math import steps as step_format
from rstar_math.config import FormName
from rstar_math.errors import ModelError
from rstar_math.types import Step

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

IGNORED_LABEL = -100
"""Label of a token that takes no part in the loss (the value that torch's cross-entropy ignores)."""


@dataclass(frozen=True, slots=True)
class RewardExample:
    """Texts whose logits meet in one term of the loss.

    Attributes:
      problem: id of the problem; examples of one problem share rows and batches.
      texts: K texts, each scored at its last token; for a preference pair (chosen, rejected).
      target: what the loss holds the logits against; not used by ranking losses.
      weight: > 0.
    """

    problem: str
    texts: tuple[str, ...]
    target: float = 0.0
    weight: float = 1.0


class RewardLoss(Protocol):
    """The weighted mean of a loss over examples."""

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """From raw logits `[E, K]`, targets `[E]` and weights `[E]` to a scalar."""


@dataclass(frozen=True, slots=True)
class SFTExample:
    """One solution to imitate.

    Attributes:
      prompt: what the policy continues (`steps.prompt`); never trained on.
      pieces: the response as (text, trained), in order; the end of sequence that follows it is trained as well.
    """

    prompt: str
    pieces: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        """The whole example, prompt included, end of sequence not included."""
        return self.prompt + "".join(piece for piece, _ in self.pieces)


@dataclass(frozen=True, slots=True)
class TokenisedExample:
    """Token ids and labels of one example, equally long; labels are unshifted, `IGNORED_LABEL` where not trained."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def num_trained_tokens(self) -> int:
        """Tokens that the loss sees: the first token has nothing to be predicted from."""
        return sum(label != IGNORED_LABEL for label in self.labels[1:])


@dataclass(frozen=True, slots=True)
class TokenisedExamples:
    """Examples that fit, and how many did not."""

    rows: tuple[TokenisedExample, ...]
    num_too_long: int


def sft_example(question: str, steps: Sequence[Step], form: FormName = "steps") -> SFTExample:
    """The example that teaches a policy to write `steps` for `question`, in a form of solution.

    Args:
      question: the question.
      steps: a verified solution.
      form: `steps`: as it is. `program`: its code steps in one piece, without markers between them and without the
        answer, which the program's output takes the place of. `text`: without what was printed, so that the policy
        learns to write the answer from the steps alone.
    """
    return SFTExample(step_format.prompt(question), tuple(step_format.loss_segments(in_form(steps, form))))


def in_form(steps: Sequence[Step], form: FormName) -> list[Step]:
    """A solution of code-augmented steps rewritten in another form; see `sft_example`."""
    if form == "steps":
        return list(steps)
    if form == "text":
        return [replace(step, code="", observation="", execution=None) for step in steps]
    written = "".join(s.text for s in steps if not s.text.endswith(step_format.END_OF_ANSWER))
    body = written.replace(step_format.END_OF_STEP, "").removesuffix(step_format.END_OF_CODE)
    return [step_format.step_from_text(body + step_format.END_OF_CODE)]


def tokenise(tokenizer: PreTrainedTokenizerBase, example: SFTExample) -> TokenisedExample:
    """Token ids and labels of an example.

    The text is encoded as a whole, as the policy will read it, and each token is traced back to its characters. A
    token is trained where all of its characters are; one that straddles the border to the prompt or to an output is
    not. (With markers that are single added tokens, as in the pocket tokenizer, no token straddles.)

    Raises:
      ModelError: the tokenizer cannot trace tokens back to characters.
    """
    if not tokenizer.is_fast:
        raise ModelError(
            f"tokenizer {type(tokenizer).__name__} has no character offsets, which the loss mask needs; "
            "convert the model's tokenizer to a tokenizer.json"
        )
    encoding = tokenizer(example.text, return_offsets_mapping=True, return_attention_mask=False, verbose=False)
    ids: list[int] = list(encoding["input_ids"])
    spans = np.asarray(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    # Offsets of byte-level tokenizers leave white space out, so a token of nothing but white space has an empty
    # span at its end: its last character stands for it. Tokens that a template adds have the span (0, 0).
    starts = np.where(spans[:, 0] == spans[:, 1], spans[:, 1] - 1, spans[:, 0])
    untrained = np.concatenate(
        [np.ones(len(example.prompt), np.int64)]
        + [np.full(len(piece), not trained, np.int64) for piece, trained in example.pieces]
    )
    num_untrained_before = np.concatenate([[0], np.cumsum(untrained)])
    ends = np.maximum(spans[:, 1], 0)
    is_trained = (starts >= 0) & (num_untrained_before[ends] - num_untrained_before[np.maximum(starts, 0)] == 0)
    labels = [token if kept else IGNORED_LABEL for token, kept in zip(ids, is_trained.tolist(), strict=True)]
    eos = tokenizer.eos_token_id
    if eos is not None:
        if ids and ids[-1] == eos:  # a template that ends every text by itself
            labels[-1] = eos
        else:
            ids.append(eos)
            labels.append(eos)
    return TokenisedExample(tuple(ids), tuple(labels))


def tokenise_all(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[SFTExample], max_length: int
) -> TokenisedExamples:
    """All examples as tokens; those of more than `max_length` tokens are dropped and counted."""
    rows = [tokenise(tokenizer, example) for example in examples]
    kept = tuple(row for row in rows if len(row.input_ids) <= max_length)
    return TokenisedExamples(kept, len(rows) - len(kept))
