"""Take a picture, and give a smaller one back."""

from PIL import Image, ImageOps

from cog import Input, Path


def main(
    image: Path = Input(description="The picture, in any format that Pillow reads."),
    width: int = Input(description="Width of the result in pixels.", default=320, ge=16, le=2048),
) -> Path:
    # Photographs often lie on their side, with a note of which way is up.
    picture = ImageOps.exif_transpose(Image.open(image)).convert("RGB")
    height = max(1, round(picture.height * width / picture.width))
    print(f"{picture.width} x {picture.height} becomes {width} x {height}")
    picture.resize((width, height), Image.Resampling.LANCZOS).save("smaller.png")
    return Path("smaller.png")
