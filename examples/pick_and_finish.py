"""Draws a third of four seeds, shows how they look, and finishes the one with the most red; jobs need no caller."""

import io

import numpy as np
from PIL import Image
from safelight import Client, Rested


def redness(file: bytes) -> float:
    red, green, blue = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), np.float32).mean(axis=(0, 1))
    return float(red - (green + blue) / 2)


with Client() as client:
    job = client.submit("a red apple", seed=1, num_images=4, steps=24, stop_at_step=8)
    print(f"safelight attach {job.id}")  # the job is the server's: whoever knows its id can watch it
    looks: dict[int, bytes] = {}
    for event in job.events():
        if isinstance(event, Rested):
            looks[event.image_index] = event.data
            print(f"seed {event.seed} rests after step {event.step} of {event.steps}")
    best = max(looks, key=lambda index: redness(looks[index]))
    picture = job.fork(image_index=best).result().pictures[0]
    print(f"finished: {picture.save('picked.png')}")
    client.job(job.id).delete()
