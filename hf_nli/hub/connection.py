"""Requests to the Hub: tried again where that helps, and explained where they fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from hf_nli.core.errors import InputError

logger = logging.getLogger(__name__)

WAITS = (1.0, 2.0, 4.0, 8.0)  # seconds between tries
WHOLE = "what was there before is whole; push again"
# What the Hub's errors are derived from is also that of lost connections. It is httpx's or httpx2's, by the version of
# huggingface_hub, which doesn't export it under a name that all versions have.
_HTTP_ERROR: type[Exception] = next(each for each in HfHubHTTPError.__mro__ if each.__name__ == "HTTPError")
_CONNECTION = (ConnectionError, TimeoutError, _HTTP_ERROR)
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Connection:
    """Requests about one repository.

    Attributes:
        repo_id: The repository.
        waits: The seconds to wait before each new try.
    """

    repo_id: str
    waits: Sequence[float] = WAITS

    def retry(self, call: Callable[[], Answer]) -> Answer:
        """Calls again after server errors and lost connections: only for what may be done twice.

        Args:
            call: The request.
        """
        for wait in self.waits:
            try:
                return call()
            except HfHubHTTPError as error:
                if error.response.status_code < 500 and error.response.status_code != 429:
                    raise
                reason = str(error.response.status_code)
            except OfflineModeIsEnabled as error:
                raise InputError(f"{self.repo_id}: HF_HUB_OFFLINE is set; unset it to reach the Hub") from error
            except _CONNECTION as error:
                reason = type(error).__name__
            logger.info("The Hub didn't answer as it should (%s); again in %g s", reason, wait)
            time.sleep(wait)
        return call()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Says in one line what the Hub refused, and what to do."""
        try:
            yield
        except HfHubHTTPError as error:
            raise InputError(f"{self.repo_id}: {_reason(error)}") from error
        except _CONNECTION as error:
            name = type(error).__name__
            raise InputError(f"{self.repo_id}: the connection to the Hub broke off ({name}); {WHOLE}") from error


def _reason(error: HfHubHTTPError) -> str:
    code = error.response.status_code
    if code == 401:
        return "the Hub doesn't know the token (401); set HF_TOKEN, or run `hf auth login`, with a valid one"
    if code == 403:
        return "the token may not write there (403); use your own name or your organization's, and a write token"
    if code >= 500 or code == 429:
        return f"the Hub is out of order ({code}); {WHOLE}, later"
    return f"the Hub refused ({code}): {(error.server_message or str(error)).strip().splitlines()[0]}"
