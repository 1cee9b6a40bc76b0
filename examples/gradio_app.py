"""The notebooks' own form on the client. It needs a server, and `.venv/bin/pip install gradio`."""

from collections.abc import Iterator

import gradio as gr
from PIL.Image import Image
from safelight import Client, ImageDone, Preview, Previews, Progress, SafelightError

client = Client()
models = {model.name: model for model in client.models()}
first = next(iter(models.values()))


def draw(
    prompt: str, negative: str, model: str, steps: float, guidance: float, seed: float, size: float
) -> Iterator[tuple[Image | None, str]]:
    """Previews while the picture comes up, then the picture; leaving the page stops the work."""
    shown, said = None, "waiting"
    try:
        with client.stream(
            prompt,
            model=model,
            negative_prompt=negative or None,
            steps=int(steps),
            guidance_scale=guidance,
            seed=int(seed),
            width=int(size),
            height=int(size),
            previews=Previews(max_edge=512),
        ) as events:
            for event in events:
                match event:
                    case Progress(step=step, steps=all_steps):
                        said = f"step {step} of {all_steps}"
                    case Preview() | ImageDone():
                        shown = event.image
                        said = f"seed {event.seed}" if isinstance(event, ImageDone) else said
                yield shown, said
    except SafelightError as error:
        raise gr.Error(str(error)) from error


def defaults(name: str) -> tuple[int, float, int]:
    """What a model was made for."""
    model = models[name].defaults
    return model.steps, model.guidance_scale, model.width


with gr.Blocks(title="Safelight") as app:
    with gr.Row():
        with gr.Column():
            prompt = gr.Textbox(label="Prompt", value="a red apple")
            negative = gr.Textbox(label="What it should not show")
            model = gr.Dropdown(list(models), value=first.name, label="Model")
            steps = gr.Slider(1, 60, first.defaults.steps, step=1, label="Steps")
            guidance = gr.Slider(0, 15, first.defaults.guidance_scale, label="Guidance")
            seed = gr.Number(-1, label="Seed (-1: by lot)", precision=0)
            size = gr.Slider(128, 1024, first.defaults.width, step=64, label="Size in pixels")
            button = gr.Button("Draw", variant="primary")
        with gr.Column():
            picture, status = gr.Image(label="Picture"), gr.Markdown()
    model.change(defaults, model, [steps, guidance, size])
    button.click(draw, [prompt, negative, model, steps, guidance, seed, size], [picture, status])

if __name__ == "__main__":
    app.launch()
