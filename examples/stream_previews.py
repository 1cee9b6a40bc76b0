"""Shows a picture while it comes up: preview.jpg is replaced after every second step, and owl.png is the end."""

from safelight import Client, ImageDone, Preview, Previews, Progress, Queued, Started

with Client() as client:
    wanted = Previews(every=2, max_edge=256)
    with client.stream("an owl on a purple background", previews=wanted) as events:  # leaving it early stops the work
        for event in events:
            match event:
                case Queued(position=position):
                    print(f"{position} jobs come first")
                case Started(model=model, steps=steps):
                    print(f"{model} draws it in {steps} steps")
                case Progress(step=step, step_time=seconds):
                    print(f"step {step} took {1000 * seconds:.0f} ms")
                case Preview(step=step):
                    print(f"step {step}: {event.save('preview.jpg')}")
                case ImageDone():
                    print(f"done: {event.save('owl.png')}")
