"""Draws a picture, saves it, and tells the seed that gives it again."""

from safelight import Client

with Client() as client:  # at $SAFELIGHT_ADDRESS, else localhost:50051
    result = client.generate("a red apple on a teal background", progress=lambda event: print(event))

    picture = result.pictures[0]
    path = picture.save("apple.png")
    print(f"{path}: {picture.width} x {picture.height}, seed {picture.seed}, {result.timings.total:.1f} s")

    # The same seed, prompt and settings give the same file, whatever else the server is doing.
    again = client.generate("a red apple on a teal background", seed=picture.seed)
    print("the same again" if again.image == result.image else "another picture")
