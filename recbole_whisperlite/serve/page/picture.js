// A picture of what is wanted: chosen, dropped, or pasted.

import { byId } from "/page/elements.js";

// A photo of a camera is larger than a model looks at, and than the service takes.
const SIDE = 1024;

/**
 * Let pictures come in.
 *
 * @param {function(string)} take Gets one as a data: address.
 * @param {function(string)} refuse Gets a sentence.
 */
export function takePictures(take, refuse) {
  const file = byId("file");
  byId("picture").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    took(file.files);
    file.value = "";
  });
  document.addEventListener("paste", ({ clipboardData }) => {
    // text that was copied may come with a picture of itself
    if (!clipboardData.types.includes("text/plain")) took(clipboardData.files);
  });
  document.addEventListener("dragover", (event) => {
    if (event.dataTransfer.types.includes("Files")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    took(event.dataTransfer.files);
  });

  function took(files) {
    const found = [...files].find(({ type }) => type.startsWith("image/"));
    if (found) {
      small(found).then(take, () => refuse("This picture cannot be read."));
    } else if (files.length) {
      refuse("This is no picture.");
    }
  }
}

async function small(file) {
  const picture = await createImageBitmap(file);
  const share = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * share));
  canvas.height = Math.max(1, Math.round(picture.height * share));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // where it is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.9);
}
