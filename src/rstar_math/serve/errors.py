"""What goes wrong with a request, in the shape in which OpenAI's clients expect it."""

from __future__ import annotations

from rstar_math.errors import ContextLengthError, EngineError, GradingError, RStarError, SandboxError, UserError
from rstar_math.terminal.visible import visible

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_MOST_SHOWN = 2_000


class RequestError(Exception):
    """A request that gets no answer.

    Attributes:
      status: of HTTP.
      message: what happened and what to do.
      code: for programs.
      param: the field that is to blame, or None.
      retry_after_s: when it may be sent again; None where that would not help.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> dict[str, object]:
        """The JSON of the reply."""
        kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        text = visible(self.message[:_MOST_SHOWN])
        return {"error": {"message": text, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the reply."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


def refused(field: str, message: str, code: str = "unsupported_value") -> RequestError:
    """A request whose field cannot be honoured."""
    return RequestError(400, message, code=code, param=field)


def from_error(error: RStarError) -> RequestError:
    """What an error of this package means to a client."""
    if isinstance(error, ContextLengthError):
        return RequestError(400, str(error), code="context_length_exceeded", param="messages")
    if isinstance(error, UserError):
        return RequestError(400, str(error), code="invalid_value")
    what = {EngineError: "the model", SandboxError: "the sandbox", GradingError: "the grader"}
    part = next((name for kind, name in what.items() if isinstance(error, kind)), "the server")
    return RequestError(503, f"{part} does not work at the moment; try again", code="unavailable", retry_after_s=2)
