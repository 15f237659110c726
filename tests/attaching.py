"""Images and PDFs that tests attach: the smallest that are what they say, and an endless one."""

import base64
from pathlib import Path

from fusion_cli.chat import Attachment

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
FILES = {
    "a.png": (PNG, "image/png"),
    "b.jpg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01", "image/jpeg"),
    "c.gif": (b"GIF89a\x01\0\x01\0\0\0\0;", "image/gif"),
    "d.gif": (b"GIF87a\x01\0\x01\0\0\0\0;", "image/gif"),
    "e.webp": (b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0", "image/webp"),
    "f.pdf": (PDF, "application/pdf"),
}


def attachment(name: str = "a.png") -> Attachment:
    """Return one of the files as it goes along with a message."""
    data, media_type = FILES[name]
    return Attachment(name, media_type, base64.b64encode(data).decode())


def large_image(path: Path, size: int) -> str:
    """Write a file of so many bytes that begins like an image; return its name."""
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(size)
    return str(path)
