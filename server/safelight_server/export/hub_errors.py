"""Says in one line why the Hugging Face hub did not give a repository, and what helps."""

from __future__ import annotations

from huggingface_hub import errors

LOGIN = "log in with `hf auth login`, or set HF_TOKEN"

# The first class that fits says it; {name}, {revision} and {told}, what the hub itself says, are filled in.
REASONS: dict[type[Exception], str] = {
    errors.GatedRepoError: f"is gated: ask for access on its page on the hub, then {LOGIN}; the hub says: {{told}}",
    errors.RepositoryNotFoundError: (
        "the hub has no such repository, or it is private or gated: check the name, and make sure you are "
        f"authenticated ({LOGIN})"
    ),
    errors.RevisionNotFoundError: "has no revision {revision!r}; --revision takes a branch, a tag or a commit",
    errors.DisabledRepoError: "its author has disabled the repository",
    errors.EntryNotFoundError: "the hub has the repository, but not this file of it: {told}",
    errors.HFValidationError: "is not there, and is no name on the hub either: that is OWNER/NAME",
    errors.OfflineModeIsEnabled: "is not in the cache, and HF_HUB_OFFLINE is set, so that it cannot be fetched",
    errors.HfHubHTTPError: "the hub says: {told}",
}
UNREACHED = "is not in the cache, and the hub cannot be reached: {told}"
CREDENTIALS = (401, 403)  # statuses


def reason(error: Exception, revision: str | None) -> str:
    """One line, without the name of the repository."""
    text = next((text for kind, text in REASONS.items() if isinstance(error, kind)), UNREACHED)
    line = text.format(revision=revision, told=_told(error))
    status = getattr(getattr(error, "response", None), "status_code", None)
    known = isinstance(error, errors.RepositoryNotFoundError)
    return f"{line}; {LOGIN}" if status in CREDENTIALS and not known else line


def _told(error: Exception) -> str:
    """The hub's own words: the lines of the error, but for numbers of requests and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if "Request ID" not in line and "for url" not in line]
    return " ".join(said or lines)[:300] or type(error).__name__
