"""Fit a picture to a width and write a title under it."""

from PIL import Image, ImageDraw, ImageFont, ImageOps

from cog import Input, Path


def main(
    image: Path = Input(description="The picture, in any format that Pillow reads."),
    title: str = Input(description="The words to write under it.", default="Untitled"),
    width: int = Input(description="Width of the result in pixels.", default=640, min=64, max=2048),
) -> Path:
    # Phones store photographs sideways with a note of which way is up.
    picture = ImageOps.exif_transpose(Image.open(image)).convert("RGB")
    print(f"read {picture.width} x {picture.height} pixels from {image.name}")

    height = max(1, round(picture.height * width / picture.width))
    resized = picture.resize((width, height), Image.Resampling.LANCZOS)

    captioned = with_caption(resized, title)
    captioned.save("captioned.png")
    print(f"wrote {captioned.width} x {captioned.height} pixels")
    return Path("captioned.png")


def with_caption(picture: Image.Image, title: str) -> Image.Image:
    """The picture with a strip below it that holds the title."""
    size = max(12, picture.width // 20)
    strip = ImageOps.expand(picture, border=(0, 0, 0, 2 * size), fill="#1d2733")
    middle = (picture.width // 2, picture.height + size)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(strip).text(middle, title, font=font, fill="white", anchor="mm")
    return strip
