"""A Gradio demo of an exported model, for a Hugging Face Space or this machine.

MODEL names the model: hf-hub:owner/name or a folder. PICTURES: the folder of its pictures.
"""

import contextlib
import os

import gradio as gr

from recbole_whisperlite import Recommender
from recbole_whisperlite.encoder.pictures import PictureError, read_picture

MODEL = os.environ.get("MODEL", "shop-model")
shop = Recommender.load(MODEL, pictures=os.environ.get("PICTURES"))


def find(request):
    answer, pictures = shop.recommend(request, k=9), []
    for found in answer:
        with contextlib.suppress(PictureError):  # shown without it
            if found.picture:
                pictures.append((read_picture(found.picture), found.text))
    table = answer.to_frame().drop(columns="picture").round(2)
    table["text"] = table.pop("text")  # behind the parts
    return answer.ruled_out or "nothing", pictures, table


with gr.Blocks(title="Ask the shop", analytics_enabled=False) as demo:
    gr.Markdown(f"# Ask the shop\n{shop.model} ranks {len(shop):,} products.")
    request = gr.Textbox(label="What are you looking for?", max_length=1000)
    gr.Examples(["a warm winter coat", "black summer dress, no stripes"], request)
    ruled_out = gr.Textbox(label="Understood as ruled out")
    gallery = gr.Gallery(label="Found", columns=3)
    table = gr.Dataframe(label="The parts of each score")
    request.submit(find, request, [ruled_out, gallery, table])

if __name__ == "__main__":
    demo.launch()
