// Reads a sensor's key out of a photograph of its code, where the browser can (Barcode Detection API); nothing is sent.
const place = document.getElementById("scan");
const none = document.getElementById("scan-none");

async function texts(file) {
  const picture = await createImageBitmap(file);
  const found = await new BarcodeDetector().detect(picture);
  return found.map((code) => code.rawValue);
}

if (place && "BarcodeDetector" in window) {
  place.hidden = false;
  place.addEventListener("change", async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    const found = await texts(file).catch(() => []);
    none.hidden = found.length > 0;
    if (found.length) {
      // What of it is the key, the server finds.
      const field = document.getElementById("secret");
      field.value = found.join(" ").slice(0, field.maxLength);
      field.focus();
    }
  });
}
