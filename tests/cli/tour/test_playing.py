import re
from pathlib import Path

from counterfoil.cli.tour.playing import CHAPTERS

PAGE = Path(__file__).parents[3] / "docs" / "tour.md"


def test_the_page_tells_the_scenes_that_there_are() -> None:
    """Each by its number and title, under the title of its chapter."""
    numbers = iter(range(1, 100))
    expected = [
        (f"Chapter {chapter}: {one.title}", [(str(next(numbers)), scene.title) for scene in one.scenes])
        for chapter, one in enumerate(CHAPTERS, start=1)
    ]
    parts = re.split(r"^## (Chapter \d+: .+)\n", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    told = [
        (title, re.findall(r"^\| (\d+) \| ([^|]+?) \|", rows, re.MULTILINE))
        for title, rows in zip(parts[::2], parts[1::2], strict=True)
    ]
    assert told == expected
