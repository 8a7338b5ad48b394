"""Make a short film in which a text writes itself."""

import numpy as np
from moviepy import VideoClip
from PIL import Image, ImageDraw, ImageFont

from cog import Input, Path

FRAMES_PER_SECOND = 12


def main(
    text: str = Input(description="The words of the film.", min_length=1, max_length=60),
    seconds: float = Input(description="How long the film is.", default=2, min=0.5, max=10),
    width: int = Input(description="Width in pixels.", default=320, ge=64, le=1280),
) -> Path:
    # H.264 halves each side for its colours, so both must be even.
    size = (width - width % 2, width // 4 * 2)
    font = fitting_font(text, size[0] * 0.9)

    def picture(at: float) -> np.ndarray:
        # The last letter is there when a fifth of the film is left.
        written = text[: 1 + int(len(text) * at / seconds / 0.8)]
        return np.asarray(page(written, size, font))

    film = VideoClip(picture, duration=seconds)
    film.write_videofile(
        "film.mp4", fps=FRAMES_PER_SECOND, codec="libx264", audio=False, threads=1, logger=None
    )
    print(f"filmed {seconds:g} seconds of {size[0]} x {size[1]} pixels")
    return Path("film.mp4")


def fitting_font(text: str, width: float) -> ImageFont.FreeTypeFont:
    """The font in the size that makes the text about this wide."""
    per_point = ImageFont.load_default(100).getlength(text) / 100
    return ImageFont.load_default(max(8.0, min(width / per_point, width / 6)))


def page(text: str, size: tuple[int, int], font: ImageFont.FreeTypeFont) -> Image.Image:
    """One picture of the film."""
    image = Image.new("RGB", size, "#1d2733")
    place = (size[0] * 0.05, size[1] / 2)
    ImageDraw.Draw(image).text(place, text, font=font, fill="#ffd479", anchor="lm")
    return image
