# answer: [[40, 30], [20, 15], "PNG"]
from PIL import Image, ImageDraw

image = Image.new("RGB", (40, 30), "red")
ImageDraw.Draw(image).line((0, 0, 40, 30), fill="blue")
image.save("i.png")
opened = Image.open("i.png")
reply([list(opened.size), list(opened.resize((20, 15)).size), opened.format])
