"""How long networks took: a median of the last runs, scaled from the nearest shape."""

from __future__ import annotations

from safelight_server.lanes.step_times import KEPT, StepTimes


def test_seconds_are_medians_of_the_last_runs() -> None:
    step_times = StepTimes()
    assert step_times.seconds("unet", (1, 4, 8, 8)) == 0
    for seconds in (9.0, *[1.0] * (KEPT - 1)):  # the first one prepares the graph
        step_times.observe("unet", (1, 4, 8, 8), seconds)
    assert step_times.seconds("unet", (1, 4, 8, 8)) == 1
    for _ in range(KEPT):
        step_times.observe("unet", (1, 4, 8, 8), 3.0)
    assert step_times.seconds("unet", (1, 4, 8, 8)) == 3
    assert step_times.seconds("unet", (2, 4, 8, 8)) == 6
    step_times.observe("unet", (1, 4, 64, 64), 64.0)
    assert step_times.seconds("unet", (1, 4, 32, 32)) == 16, "from the nearest, not the first"
