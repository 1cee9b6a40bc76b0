"""Redraws a picture: all of it a little, and then only the part that a mask shows."""

from PIL import Image, ImageDraw
from safelight import Client

with Client() as client:
    first = client.generate("a red apple on a teal background", seed=7)
    first.save("first.png")

    # `strength` says how much may change: 0 is nothing, 1 is everything.
    redrawn = client.refine(first.image, "a red apple on an orange background", strength=0.8)
    redrawn.save("redrawn.png")

    # White in the mask is drawn anew. The rest stays as it is, as nearly as the model's VAE can show it.
    mask = Image.new("L", first.image.size, "black")
    width, height = mask.size
    ImageDraw.Draw(mask).rectangle((width // 2, 0, width, height), fill="white")
    half = client.refine(first.image, "a lemon on a teal background", mask=mask, strength=1.0)
    half.save("half.png")

    print("saved first.png, redrawn.png and half.png")
