"""What can go wrong and what to do then: a full server, a request with bad fields, a call that takes too long."""

import sys
import time

from safelight import Busy, Client, InvalidRequest, Result, SafelightError, TimedOut, Unavailable


def draw_patiently(client: Client, prompt: str, tries: int = 20) -> Result:
    """Waits while the server has no room, or is not there yet, for as long as the server says."""
    for _ in range(tries):
        try:
            return client.generate(prompt, timeout=120)
        except (Busy, Unavailable) as error:
            seconds = error.retry_after or 1.0
            print(f"{error.reason or error.code}: trying again in {seconds:.0f} s", flush=True)
            time.sleep(seconds)
    sys.exit(f"no picture after {tries} tries")


with Client() as client:
    draw_patiently(client, "a cactus on a pink background").save("cactus.png")

    try:
        client.generate("a cactus", width=13, steps=0)
    except InvalidRequest as error:
        for violation in error.violations:  # all that is wrong, not only the first
            print(f"{violation.field}: {violation.description}")

    try:
        client.generate("a cactus", steps=150, num_images=16, timeout=0.5)
    except TimedOut:
        print("half a second was not enough; the server does not work on it any more")

    try:
        client.generate("a cactus", model="no-such-model")
    except SafelightError as error:  # the base of all of them
        print(f"{error.code} {error.reason}: {error.message}")
