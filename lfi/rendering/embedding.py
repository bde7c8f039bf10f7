"""Pictures in an SVG: each is in the file once, however often it is shown; those without transparency as JPEG."""

from __future__ import annotations

import base64
import io
import re

from PIL import Image

_IMAGE = re.compile(rb"<image ([^>]*?)/>", re.DOTALL)
_ATTRIBUTE = re.compile(rb'([\w:-]+)="([^"]*)"')
_QUALITY = 92
_SHOWN_ONCE = (b"xlink:href", b"width", b"height", b"id")


def embedded_once(svg: bytes) -> bytes:
    """An SVG of matplotlib's with every picture among its definitions, and references where pictures were."""
    found: dict[tuple[bytes, bytes, bytes], bytes] = {}

    def reference(match: re.Match[bytes]) -> bytes:
        attributes = dict(_ATTRIBUTE.findall(match.group(1)))
        key = (attributes[b"xlink:href"], attributes[b"width"], attributes[b"height"])
        name = found.setdefault(key, b"picture%d" % (len(found) + 1))
        rest = b" ".join(b'%s="%s"' % pair for pair in attributes.items() if pair[0] not in _SHOWN_ONCE)
        return b'<use xlink:href="#%s" %s/>' % (name, rest)

    body = _IMAGE.sub(reference, svg)
    pictures = b"\n".join(
        b'  <image id="%s" width="%s" height="%s" xlink:href="%s"/>' % (name, width, height, _smaller(data))
        for (data, width, height), name in found.items()
    )
    return body.replace(b"</svg>", b" <defs>\n" + pictures + b"\n </defs>\n</svg>")


def _smaller(uri: bytes) -> bytes:
    """A PNG without transparency as JPEG, where that takes less room."""
    data = b"".join(uri.partition(b",")[2].split())
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
        return b"data:image/png;base64," + data
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    jpeg = base64.b64encode(buffer.getvalue())
    return b"data:image/jpeg;base64," + jpeg if len(jpeg) < len(data) else b"data:image/png;base64," + data
